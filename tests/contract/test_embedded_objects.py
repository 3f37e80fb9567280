from __future__ import annotations

import os
import time

import pytest

from runtime.embedded.objects import ABANDONED_S, EmbeddedObjects
from tests.contract.objects_conformance import ObjectsConformance
from tests.support.port_driver import Opener


class TestEmbeddedObjects(ObjectsConformance):
    @pytest.fixture
    def opener(self, tmp_path):
        return Opener("tests.support.embedded_ports:objects", str(tmp_path / "objects"))


@pytest.mark.parametrize(
    "key",
    [
        "..", "../x", "../../x", "a/../../x", "/etc/passwd", "/", "//", "a//b", "a/", ".", "./x", "..\\x", "a\0b",
        "%2e%2e/x", "~root", ".writing/x", "-", "a%", "%~", "%-", "a" * 200, "a" * 200 + "/b", "a" * 201,
    ],
)  # fmt: skip
def test_no_key_leaves_its_bucket(tmp_path, key):
    objects = EmbeddedObjects(tmp_path / "objects")
    objects.create_buckets(["b", "other"])
    objects.put("b", key, b"x")

    assert [info.key for info in objects.keys("b")] == [key]
    assert list(objects.keys("other")) == []
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [
        path for path in (tmp_path / "objects" / "b").rglob("*") if path.is_file()
    ]


@pytest.mark.parametrize("bucket", ["..", ".", "a/b", ".writing", "A"])
def test_no_bucket_leaves_the_folder(tmp_path, bucket):
    objects = EmbeddedObjects(tmp_path / "objects")
    objects.create_buckets([bucket])
    objects.put(bucket, "k", b"x")

    assert objects.get(bucket, "k") == b"x"
    assert {path.name for path in tmp_path.iterdir()} == {"objects"}
    assert list((tmp_path / "objects" / ".writing").iterdir()) == []


def test_abandoned_objects_are_swept_at_start_and_young_ones_stay(tmp_path):
    objects = EmbeddedObjects(tmp_path)
    objects.create_buckets(["b"])
    old, young = objects.open_write("b", "old"), objects.open_write("b", "young")
    for writer in (old, young):
        writer.write(b"x")
    first, second = sorted((tmp_path / ".writing").iterdir(), key=lambda path: path.stat().st_ino)
    abandoned = time.time() - ABANDONED_S - 60
    os.utime(first, (abandoned, abandoned))

    EmbeddedObjects(tmp_path)

    assert list((tmp_path / ".writing").iterdir()) == [second]
    old.abort()
    young.abort()
