from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.embedded.objects import EmbeddedObjects
from runtime.errors import DeadLetterError
from runtime.keyring import KeyRing
from runtime.ports import ObjectInfo, ObjectMissingError
from runtime.sealed import FRAME_BYTES, HEADER_BYTES, SEALED_FRAME_BYTES, TAG_BYTES, SealedObjects

RING = KeyRing("k1", {"k1": secrets.token_bytes(32)})
WHO = {"site": "north", "study": "st-1", "purpose": "test"}
SIZES = [0, 1, FRAME_BYTES - 1, FRAME_BYTES, FRAME_BYTES + 1, 20 * FRAME_BYTES + 5]


class Store:
    """The embedded store and what was audited."""

    def __init__(self, folder: Path, ring: KeyRing = RING) -> None:
        self.audited: list[tuple[str, tuple[str, ...], str, str]] = []
        self.plain = EmbeddedObjects(folder)
        self.plain.create_buckets(["raw", "quarantine"])
        self.sealed = SealedObjects(self.plain, ring, self.note)

    def note(self, site: str, subjects: Sequence[str], action: str, purpose: str) -> None:
        self.audited.append((site, tuple(subjects), action, purpose))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


@pytest.mark.parametrize("size", SIZES)
def test_what_was_written_in_pieces_is_read_back_whole(store: Store, size: int) -> None:
    data = secrets.token_bytes(size)
    writer = store.sealed.open_write("raw", "a/b")
    for start in range(0, size, 50_000):
        writer.write(data[start : start + 50_000])
    assert writer.commit() == ObjectInfo("raw", "a/b", size)
    assert store.sealed.read("raw", "a/b", **WHO) == data
    assert store.sealed.size("raw", "a/b") == size
    assert store.sealed.digest("raw", "a/b") == hashlib.sha256(data).digest()


@given(start=st.integers(0, 3 * FRAME_BYTES), length=st.integers(0, 3 * FRAME_BYTES))
def test_a_range_is_what_slicing_gives(
    tmp_path_factory: pytest.TempPathFactory, start: int, length: int
) -> None:
    store = Store(tmp_path_factory.getbasetemp() / "ranges")
    data = bytes(range(256)) * (2 * FRAME_BYTES // 256) + b"end"
    if store.plain.head("raw", "r") is None:
        store.sealed.put("raw", "r", data)
    assert store.sealed.read_range("raw", "r", start, length, **WHO) == data[start : start + length]


def test_nothing_of_the_plain_bytes_is_in_the_store(store: Store) -> None:
    store.sealed.put("raw", "a", b"DOE^JANE" * 100)
    assert b"JANE" not in store.plain.get("raw", "a")


def cut_last_frame(data: bytes) -> bytes:
    return data[: HEADER_BYTES + SEALED_FRAME_BYTES]


def cut_inside_a_frame(data: bytes) -> bytes:
    return data[:-1]


def cut_to_the_header(data: bytes) -> bytes:
    return data[:HEADER_BYTES]


def cut_into_a_tag(data: bytes) -> bytes:
    return data[: HEADER_BYTES + TAG_BYTES - 1]


def swap_frames(data: bytes) -> bytes:
    first, second = HEADER_BYTES, HEADER_BYTES + SEALED_FRAME_BYTES
    return (
        data[:first]
        + data[second : second + SEALED_FRAME_BYTES]
        + data[first:second]
        + data[second * 2 - first :]
    )


def flip_a_bit(data: bytes) -> bytes:
    return data[:-5] + bytes([data[-5] ^ 1]) + data[-4:]


def flip_the_salt(data: bytes) -> bytes:
    return data[: HEADER_BYTES - 1] + bytes([data[HEADER_BYTES - 1] ^ 1]) + data[HEADER_BYTES:]


def other_magic(data: bytes) -> bytes:
    return b"DICM" + data[4:]


@pytest.mark.parametrize(
    "harm",
    [
        cut_last_frame,
        cut_inside_a_frame,
        cut_to_the_header,
        cut_into_a_tag,
        swap_frames,
        flip_a_bit,
        flip_the_salt,
        other_magic,
        lambda _: b"",
    ],
)
def test_whatever_was_done_to_an_object_is_noticed(store: Store, harm) -> None:
    store.sealed.put("raw", "a", secrets.token_bytes(2 * FRAME_BYTES + 10))
    store.plain.put("raw", "a", harm(store.plain.get("raw", "a")))
    with pytest.raises(DeadLetterError, match="sealed-object-corrupt"):
        store.sealed.read("raw", "a", **WHO)


@pytest.mark.parametrize(("bucket", "key"), [("raw", "b"), ("quarantine", "a")])
def test_an_object_moved_elsewhere_does_not_open(store: Store, bucket: str, key: str) -> None:
    store.sealed.put("raw", "a", b"data")
    store.plain.put(bucket, key, store.plain.get("raw", "a"))
    with pytest.raises(DeadLetterError, match="sealed-object-corrupt"):
        store.sealed.read(bucket, key, **WHO)


def test_another_key_does_not_open_and_a_retired_one_does(store: Store, tmp_path: Path) -> None:
    store.sealed.put("raw", "a", b"data")
    wrong = Store(tmp_path, KeyRing("k1", {"k1": secrets.token_bytes(32)}))
    with pytest.raises(DeadLetterError, match="sealed-object-corrupt"):
        wrong.sealed.read("raw", "a", **WHO)
    stranger = Store(tmp_path, KeyRing("k2", {"k2": secrets.token_bytes(32)}))
    with pytest.raises(DeadLetterError, match="unknown-vault-key"):
        stranger.sealed.read("raw", "a", **WHO)
    rotated = Store(tmp_path, KeyRing("k2", {"k2": secrets.token_bytes(32), **RING.masters}))
    assert rotated.sealed.read("raw", "a", **WHO) == b"data"


def test_every_read_is_audited_with_its_purpose_before_it_happens(store: Store) -> None:
    with pytest.raises(ObjectMissingError):
        store.sealed.read("raw", "none", **WHO)
    assert store.audited == [("north", ("st-1",), "raw.read", "test")]
    store.sealed.put("raw", "a", b"data")
    store.sealed.read_range("raw", "a", 0, 2, **WHO)
    assert len(store.audited) == 2
    store.sealed.digest("raw", "a")
    assert len(store.audited) == 2


def test_an_aborted_object_is_not_there(store: Store) -> None:
    writer = store.sealed.open_write("raw", "a")
    writer.write(b"x" * (2 * FRAME_BYTES))
    writer.abort()
    assert store.sealed.size("raw", "a") is None


def test_memory_does_not_grow_with_an_object(store: Store) -> None:
    import tracemalloc

    writer = store.sealed.open_write("raw", "big")
    piece = bytes(1 << 20)
    tracemalloc.start()
    for _ in range(48):
        writer.write(piece)
    writer.commit()
    total = sum(len(part) for part in store.sealed.stream("raw", "big", **WHO))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 48 << 20
    assert peak < 8 << 20
