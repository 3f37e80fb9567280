from __future__ import annotations

import base64
import os
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from runtime.errors import OutageError, RetryError, StopError
from runtime.free_ports import free_ports
from runtime.objects import S3Objects
from runtime.settings import SecretReference
from tests.contract.objects_conformance import ObjectsConformance
from tests.support.port_driver import Opener, driver

BUCKET = "conformance"


@pytest.fixture
def settings(servers):
    return servers.require("objects").s3.model_copy(update={"bucket_prefix": "hospital-"})


@pytest.fixture
def objects(settings):
    opened = S3Objects(settings)
    opened.create_buckets([BUCKET])
    yield opened
    opened.close()


@pytest.fixture
def prefix():
    return uuid.uuid4().hex


def uploads(objects, prefix):
    found = objects._control.list_multipart_uploads(Bucket=f"hospital-{BUCKET}").get("Uploads", [])
    return [each["Key"] for each in found if each["Key"].startswith(prefix)]


class TestS3Objects(ObjectsConformance):
    @pytest.fixture
    def opener(self, settings):
        return Opener("tests.support.cluster_ports:objects", settings.model_dump_json())


def test_buckets_carry_the_installation_s_prefix_and_ordinary_keys_stay_as_they_are(objects, prefix):
    objects.put(BUCKET, f"{prefix}/study/image.dcm", b"x")

    found = objects._control.list_objects_v2(Bucket=f"hospital-{BUCKET}", Prefix=prefix)["Contents"]
    assert [each["Key"] for each in found] == [f"{prefix}/study/image.dcm"]


@pytest.mark.parametrize(
    "key", ["..", "../x", "a/../../x", "/x", "/", "//", "a//b", "a/", ".", "./x", "\\", "a\x01b", "a\nb", "!", "a!-/b", "!2e"]
)  # fmt: skip
def test_a_key_that_means_something_to_a_file_system_is_only_a_key(objects, prefix, key):
    objects.put(BUCKET, f"{prefix}/{key}", b"x")

    assert objects.get(BUCKET, f"{prefix}/{key}") == b"x"
    assert [info.key for info in objects.keys(BUCKET, f"{prefix}/")] == [f"{prefix}/{key}"]


@pytest.mark.parametrize("size", [100_000, 20_000_000], ids=["in memory", "in parts"])
def test_an_aborted_object_leaves_no_upload(objects, prefix, size):
    writer = objects.open_write(BUCKET, prefix)
    for _ in range(size // 100_000):
        writer.write(os.urandom(100_000))
    assert bool(uploads(objects, prefix)) == (size > 10_000_000)

    writer.abort()

    assert uploads(objects, prefix) == []
    assert list(objects.keys(BUCKET, prefix)) == []


def test_what_a_killed_writer_left_is_swept_once_it_is_old(settings, objects, prefix):
    with driver(Opener("tests.support.cluster_ports:objects", settings.model_dump_json())) as child:
        child.call("begin_object", bucket=BUCKET, key=prefix)
        for _ in range(12):
            child.call("append", data=base64.b64encode(bytes(1_000_000)).decode())
    assert len(uploads(objects, prefix)) == 1

    objects.create_buckets([BUCKET])
    assert len(uploads(objects, prefix)) == 1
    objects._sweep(f"hospital-{BUCKET}", datetime.now(UTC) + timedelta(seconds=5))

    assert uploads(objects, prefix) == []


def test_a_wrong_secret_stops(settings, tmp_path):
    (tmp_path / "secret").write_text("wrong")
    wrong = S3Objects(
        settings.model_copy(update={"secret_key": SecretReference(f"file:{tmp_path / 'secret'}")})
    )
    for call in (
        lambda: wrong.create_buckets([BUCKET]),
        lambda: wrong.get(BUCKET, "k"),
        lambda: wrong.put(BUCKET, "k", b"x"),
        lambda: wrong.head(BUCKET, "k"),
        lambda: list(wrong.keys(BUCKET)),
    ):
        with pytest.raises(StopError):
            call()


@pytest.mark.parametrize("name", ["A_b", "x", "a" * 80])
def test_a_bucket_s3_cannot_name_stops(settings, name):
    with pytest.raises(StopError):
        S3Objects(settings.model_copy(update={"bucket_prefix": ""})).create_buckets([name])


def test_reading_from_a_missing_bucket_stops(objects):
    with pytest.raises(StopError):
        objects.get("nobody-created-this", "k")
    with pytest.raises(StopError):
        list(objects.keys("nobody-created-this"))


def test_a_service_that_is_not_there_is_an_outage(settings, prefix):
    nowhere = S3Objects(settings.model_copy(update={"endpoint": f"http://127.0.0.1:{free_ports(1)[0]}"}))
    writer = nowhere.open_write(BUCKET, prefix)
    writer.write(b"x")
    for call in (
        lambda: nowhere.create_buckets([BUCKET]),
        lambda: nowhere.get(BUCKET, "k"),
        lambda: nowhere.get(BUCKET, "k", 3),
        lambda: nowhere.put(BUCKET, "k", b"x"),
        lambda: list(nowhere.keys(BUCKET)),
        writer.commit,
    ):
        with pytest.raises(OutageError):
            call()
    writer.abort()


def test_a_killed_service_is_an_outage_and_loses_nothing_that_was_answered(servers, objects, prefix):
    objects.put(BUCKET, f"{prefix}/1", b"x")
    writer = objects.open_write(BUCKET, f"{prefix}/2")
    writer.write(bytes(6_000_000))

    servers.running.kill("objects")
    with pytest.raises(OutageError):
        objects.put(BUCKET, f"{prefix}/3", b"x")
    with pytest.raises(RetryError):
        writer.commit()
    writer.abort()
    servers.require("objects")

    assert [info.key for info in objects.keys(BUCKET, prefix)] == [f"{prefix}/1"]
    objects.put(BUCKET, f"{prefix}/3", b"x", if_absent=True)
    assert objects.get(BUCKET, f"{prefix}/3") == b"x"
