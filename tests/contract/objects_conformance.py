"""What every implementation of the objects port does, in S3's words. A subclass supplies the fixture `opener`.

Every test has a prefix of its own in one bucket, so that one server serves all tests.
"""

from __future__ import annotations

import base64
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from runtime.errors import StopError
from runtime.ports import ObjectExistsError, ObjectInfo, ObjectMissingError, Objects
from tests.support.port_driver import Opener, driver

BUCKET = "conformance"

KEYS = [
    pytest.param("plain", id="plain"),
    pytest.param("north/st-1/in-2.dcm", id="folders"),
    pytest.param("UPPER/Lower", id="capitals"),
    pytest.param("ünï/北/😀", id="beyond ASCII"),
    pytest.param("a b+c%2F%/?#&=:*\"'<>|\\", id="signs"),
    pytest.param("x" * 300 + "/" + "y" * 300, id="long names"),
    pytest.param("é" * 300, id="long names beyond ASCII"),
    pytest.param("CON/nul.txt/trailing.", id="names some systems reserve"),
]


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


class ObjectsConformance:
    """Run by every implementation."""

    @pytest.fixture
    def objects(self, opener: Opener) -> Objects:
        opened: Objects = opener.open()
        opened.create_buckets([BUCKET])
        return opened

    @pytest.fixture
    def prefix(self) -> str:
        return uuid.uuid4().hex

    def test_creating_a_bucket_again_keeps_its_objects(self, objects, prefix):
        objects.put(BUCKET, prefix, b"x")
        objects.create_buckets([BUCKET])
        assert objects.get(BUCKET, prefix) == b"x"

    @pytest.mark.parametrize("key", KEYS)
    def test_an_object_is_found_under_its_key(self, objects, prefix, key):
        name = f"{prefix}/{key}"
        data = key.encode()
        assert objects.put(BUCKET, name, data) == ObjectInfo(BUCKET, name, len(data))
        assert objects.get(BUCKET, name) == data
        assert objects.head(BUCKET, name) == ObjectInfo(BUCKET, name, len(data))
        assert list(objects.keys(BUCKET, prefix)) == [ObjectInfo(BUCKET, name, len(data))]

    @pytest.mark.parametrize(
        "data", [b"", b"\0", bytes(range(256)) * 5000], ids=["empty", "one", "a megabyte"]
    )
    def test_bytes_come_back_as_they_were(self, objects, prefix, data):
        objects.put(BUCKET, prefix, data)
        assert objects.get(BUCKET, prefix) == data

    def test_a_missing_object_is_said_to_be_missing(self, objects, prefix):
        with pytest.raises(ObjectMissingError):
            objects.get(BUCKET, prefix)
        assert objects.head(BUCKET, prefix) is None
        assert list(objects.keys(BUCKET, prefix)) == []
        objects.delete(BUCKET, prefix)

    def test_writing_to_a_missing_bucket_stops(self, objects):
        with pytest.raises(StopError):
            objects.put("nobody-created-this", "k", b"x")

    def test_a_later_put_takes_the_place_of_an_earlier(self, objects, prefix):
        objects.put(BUCKET, prefix, b"a long first version")
        objects.put(BUCKET, prefix, b"second")
        assert objects.get(BUCKET, prefix) == b"second"

    @pytest.mark.parametrize(
        ("start", "length", "part"),
        [
            (0, None, b"0123456789"), (3, None, b"3456789"), (3, 4, b"3456"), (0, 0, b""), (8, 10, b"89"),
            (9, 1, b"9"), (10, None, b""), (50, 5, b""),
        ],
    )  # fmt: skip
    def test_a_range_is_what_there_is_of_it(self, objects, prefix, start, length, part):
        objects.put(BUCKET, prefix, b"0123456789")
        assert objects.get(BUCKET, prefix, start, length) == part

    @pytest.mark.parametrize(("start", "length"), [(-1, None), (0, -1)])
    def test_a_range_has_no_negative_ends(self, objects, prefix, start, length):
        objects.put(BUCKET, prefix, b"0123456789")
        with pytest.raises(ValueError):
            objects.get(BUCKET, prefix, start, length)

    def test_a_deleted_object_is_gone(self, objects, prefix):
        objects.put(BUCKET, prefix, b"x")
        objects.delete(BUCKET, prefix)
        assert objects.head(BUCKET, prefix) is None
        objects.put(BUCKET, prefix, b"y", if_absent=True)
        assert objects.get(BUCKET, prefix) == b"y"

    def test_keys_are_listed_in_the_order_of_their_bytes(self, objects, prefix):
        names = ["b", "a/b", "a-b", "a", "a/a/z", "a0", "B", "é", "z/1", "z/10", "z/2", "a/b/c"]
        for name in names:
            objects.put(BUCKET, f"{prefix}/{name}", name.encode())
        listed = list(objects.keys(BUCKET, f"{prefix}/"))
        assert [info.key for info in listed] == [f"{prefix}/{name}" for name in sorted(names, key=str.encode)]
        assert [info.size for info in listed] == [
            len(name.encode()) for name in sorted(names, key=str.encode)
        ]

    @pytest.mark.parametrize(
        ("wanted", "found"),
        [("a", ["a/1", "a/2/3", "ab"]), ("a/", ["a/1", "a/2/3"]), ("a/2", ["a/2/3"]), ("b/1", []), ("c", [])],
    )
    def test_a_prefix_is_the_beginning_of_a_key_not_a_folder(self, objects, prefix, wanted, found):
        for name in ("a/1", "a/2/3", "ab", "b"):
            objects.put(BUCKET, f"{prefix}/{name}", b"x")
        listed = [info.key for info in objects.keys(BUCKET, f"{prefix}/{wanted}")]
        assert listed == [f"{prefix}/{name}" for name in found]

    def test_an_object_exists_beside_objects_below_it(self, objects, prefix):
        objects.put(BUCKET, f"{prefix}/a/b", b"below")
        objects.put(BUCKET, f"{prefix}/a", b"above")
        assert (objects.get(BUCKET, f"{prefix}/a"), objects.get(BUCKET, f"{prefix}/a/b")) == (
            b"above",
            b"below",
        )

    @pytest.mark.parametrize("key", ["", "x" * 1025, "é" * 513])
    def test_a_key_that_s3_refuses_is_refused(self, objects, key):
        with pytest.raises(ValueError):
            objects.put(BUCKET, key, b"x")

    def test_a_streamed_object_is_seen_once_it_is_committed(self, objects, prefix):
        writer = objects.open_write(BUCKET, prefix)
        for _ in range(20):
            writer.write(b"x" * 500_000)
            assert objects.head(BUCKET, prefix) is None
        writer.write(memoryview(b"the end"))
        assert list(objects.keys(BUCKET, prefix)) == []
        assert writer.commit() == ObjectInfo(BUCKET, prefix, 10_000_007)
        writer.abort()
        assert objects.get(BUCKET, prefix, 9_999_999, 8) == b"xthe end"

    def test_an_empty_object_can_be_streamed(self, objects, prefix):
        assert objects.open_write(BUCKET, prefix).commit().size == 0
        assert objects.get(BUCKET, prefix) == b""

    def test_an_aborted_object_never_was(self, objects, prefix):
        objects.put(BUCKET, prefix, b"before")
        writer = objects.open_write(BUCKET, prefix)
        writer.write(b"x" * 100_000)
        writer.abort()
        writer.abort()
        assert objects.get(BUCKET, prefix) == b"before"
        assert len(list(objects.keys(BUCKET, prefix))) == 1

    def test_if_absent_keeps_what_is_there(self, objects, prefix):
        objects.put(BUCKET, prefix, b"first", if_absent=True)
        with pytest.raises(ObjectExistsError):
            objects.put(BUCKET, prefix, b"second", if_absent=True)
        assert objects.get(BUCKET, prefix) == b"first"

    def test_of_many_writers_one_finds_the_key_absent(self, objects, prefix):
        def put(number: int) -> int | None:
            try:
                objects.put(BUCKET, prefix, b"%d" % number, if_absent=True)
            except ObjectExistsError:
                return None
            return number

        with ThreadPoolExecutor(8) as pool:
            winners = [number for number in pool.map(put, range(24)) if number is not None]
        assert [b"%d" % number for number in winners] == [objects.get(BUCKET, prefix)]

    def test_a_killed_writer_loses_nothing_that_was_answered(self, opener, objects, prefix):
        with driver(opener) as child:
            child.begin("put_for_ever", bucket=BUCKET, prefix=prefix)
            answered = child.answers_until_killed(15)
        stored = {info.key.rpartition("/")[2] for info in objects.keys(BUCKET, prefix)}
        assert {f"{number}" for number in answered} <= stored
        for name in stored:
            assert objects.get(BUCKET, f"{prefix}/{name}") == name.encode() * 1000

    @pytest.mark.parametrize("steps", range(4))
    def test_an_object_whose_writer_was_killed_is_whole_or_absent(self, opener, objects, prefix, steps):
        with driver(opener) as child:
            child.call("begin_object", bucket=BUCKET, key=prefix)
            for _ in range(min(steps, 2)):
                child.call("append", data=encoded(b"x" * 1000))
            if steps == 3:
                assert child.call("commit_object") == 2000
        found = objects.head(BUCKET, prefix)
        assert (found.size if found else None) == (2000 if steps == 3 else None)
        objects.put(BUCKET, prefix, b"again")
        assert objects.get(BUCKET, prefix) == b"again"
