"""Encrypted objects (AES-256-GCM) that are written as a stream and read in ranges.

Layout, all numbers big-endian:

    header   64 bytes: magic `RADSEAL`, version 1, id of the master key padded with NUL to 32 bytes, 24 random bytes of salt
    frames   64 KiB of plain bytes each, the last one 0 to 64 KiB, every one followed by its 16-byte tag

Each object has a key of its own, HKDF-SHA256 of the master key under the salt, and numbers its frames: the nonce is the frame's
index, so no nonce is ever used twice under one key, however many objects there are (192 random bits tell them apart). The
additional authenticated data bind header, bucket, object key, frame index and whether the frame is the last. So frames cannot
be swapped, moved to another object or cut off, and a range is read by opening only the frames it touches.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from runtime.audit import RAW_READ, Audit
from runtime.errors import DeadLetterError
from runtime.keyring import KEY_BYTES, KeyRing, bound
from runtime.ports import ObjectInfo, ObjectMissingError, Objects, ObjectWriter

MAGIC = b"RADSEAL\x01"
"""Name and version of the layout."""
SALT_BYTES = 24
"""bytes; so many random bits never repeat, and the header is 64 bytes."""
HEADER_BYTES = len(MAGIC) + KEY_BYTES + SALT_BYTES
"""bytes before the first frame."""
FRAME_BYTES = 64 * 1024
"""bytes of plain data in a frame: a DICOM header needs one or two, and tags cost 0.02 %."""
TAG_BYTES = 16
"""bytes; GCM's full tag (NIST SP 800-38D §5.2.1.2)."""
SEALED_FRAME_BYTES = FRAME_BYTES + TAG_BYTES
"""bytes of a full frame in the store."""
READ_FRAMES = 16
"""Frames fetched at once while streaming: 1 MiB."""
PURPOSE = b"radstream sealed object 1"
"""Separates these keys from others derived from the same master."""

CORRUPT = "sealed-object-corrupt"
"""Reason class: the object was cut, changed, moved, or is none of ours."""


@dataclass(frozen=True)
class _Cipher:
    """Opens and seals the frames of one object."""

    aead: AESGCM
    identity: bytes
    """Header, bucket and object key: what every frame is bound to."""

    def seal(self, index: int, last: bool, plain: bytes | bytearray) -> bytes:
        return self.aead.encrypt(_nonce(index), bytes(plain), self._bound(index, last))

    def open(self, index: int, last: bool, sealed: bytes | memoryview) -> bytes:
        try:
            return self.aead.decrypt(_nonce(index), bytes(sealed), self._bound(index, last))
        except (InvalidTag, ValueError) as error:
            raise DeadLetterError(CORRUPT) from error

    def _bound(self, index: int, last: bool) -> bytes:
        return self.identity + index.to_bytes(8, "big") + (b"\x01" if last else b"\x00")


def _nonce(index: int) -> bytes:
    return index.to_bytes(12, "big")


def _cipher(keys: KeyRing, header: bytes, bucket: str, key: str) -> _Cipher:
    """Cipher of the object with that header.

    Raises
    ------
    DeadLetterError
        `sealed-object-corrupt`, or `unknown-vault-key`.
    """
    if len(header) != HEADER_BYTES or not header.startswith(MAGIC):
        raise DeadLetterError(CORRUPT)
    try:
        key_id = header[len(MAGIC) : len(MAGIC) + KEY_BYTES].rstrip(b"\0").decode("utf-8")
    except UnicodeDecodeError as error:
        raise DeadLetterError(CORRUPT) from error
    derived = keys.derive(key_id, PURPOSE, header[-SALT_BYTES:])
    return _Cipher(AESGCM(derived), bound(header, bucket, key))


@dataclass(frozen=True)
class _Layout:
    """Frame arithmetic of a stored size."""

    frames: int
    plain_size: int

    @classmethod
    def of(cls, stored_size: int) -> _Layout:
        """Layout of an object with that many stored bytes; DeadLetterError when no object can have that many."""
        body = stored_size - HEADER_BYTES
        frames, rest = divmod(body, SEALED_FRAME_BYTES)
        if body < TAG_BYTES or 0 < rest < TAG_BYTES or (rest == TAG_BYTES and frames):
            raise DeadLetterError(CORRUPT)
        frames += 1 if rest else 0
        return cls(frames, body - frames * TAG_BYTES)


class _SealedWriter:
    """An object being encrypted while it is written; holds one frame at most beside the inner writer's own buffer."""

    def __init__(self, inner: ObjectWriter, cipher: _Cipher, header: bytes) -> None:
        self._inner = inner
        self._cipher = cipher
        self._pending = bytearray()
        self._index = 0
        self._size = 0
        inner.write(header)

    def write(self, data: bytes | memoryview) -> None:
        """Append plain bytes. A full frame waits for the next byte, since only then it is known not to be the last."""
        view = memoryview(data).cast("B")
        self._size += len(view)
        while view:
            if len(self._pending) == FRAME_BYTES:
                self._flush(last=False)
            taken = FRAME_BYTES - len(self._pending)
            self._pending += view[:taken]
            view = view[taken:]

    def commit(self) -> ObjectInfo:
        """Seal the last frame and make the object visible; the size returned is that of the plain bytes."""
        self._flush(last=True)
        info = self._inner.commit()
        return ObjectInfo(info.bucket, info.key, self._size)

    def abort(self) -> None:
        """Forget everything written; harmless after `commit`."""
        self._pending.clear()
        self._inner.abort()

    def _flush(self, last: bool) -> None:
        self._inner.write(self._cipher.seal(self._index, last, self._pending))
        self._index += 1
        self._pending.clear()


class SealedObjects:
    """The encrypted tier of the object store: raw and quarantine.

    Parameters
    ----------
    objects
        The store.
    keys
        Keys that seal and open.
    audit
        Called before anything is opened for a caller.
    """

    def __init__(self, objects: Objects, keys: KeyRing, audit: Audit) -> None:
        self._objects = objects
        self._keys = keys
        self._audit = audit

    def audited_by(self, audit: Audit) -> SealedObjects:
        """Return the same tier with another way to audit."""
        return SealedObjects(self._objects, self._keys, audit)

    def open_write(self, bucket: str, key: str) -> ObjectWriter:
        """Begin an encrypted object of unknown length; memory does not grow with it."""
        padded_id = self._keys.current.encode("utf-8").ljust(KEY_BYTES, b"\0")
        header = MAGIC + padded_id + secrets.token_bytes(SALT_BYTES)
        return _SealedWriter(
            self._objects.open_write(bucket, key), _cipher(self._keys, header, bucket, key), header
        )

    def put(self, bucket: str, key: str, data: bytes) -> ObjectInfo:
        """Encrypt and store a small object whole."""
        writer = self.open_write(bucket, key)
        try:
            writer.write(data)
            return writer.commit()
        except BaseException:
            writer.abort()
            raise

    def size(self, bucket: str, key: str) -> int | None:
        """Plain size in bytes, None where there is no such object."""
        info = self._objects.head(bucket, key)
        return None if info is None else _Layout.of(info.size).plain_size

    def digest(self, bucket: str, key: str) -> bytes:
        """SHA-256 of the plain bytes, read back from the store: proves what is stored and opens it to nobody.

        Raises
        ------
        ObjectMissingError
            There is no such object.
        DeadLetterError
            `sealed-object-corrupt`.
        """
        digest = hashlib.sha256()
        for part in self._plain(bucket, key, 0, None):
            digest.update(part)
        return digest.digest()

    def read(self, bucket: str, object_key: str, *, site: str, study: str, purpose: str) -> bytes:
        """Return an object whole, decrypted.

        Raises
        ------
        ObjectMissingError
            There is no such object.
        DeadLetterError
            `sealed-object-corrupt`, or `unknown-vault-key`.
        """
        return b"".join(self.stream(bucket, object_key, site=site, study=study, purpose=purpose))

    def read_range(
        self, bucket: str, key: str, start: int, length: int, *, site: str, study: str, purpose: str
    ) -> bytes:
        """Return up to `length` plain bytes from `start`, fetching only the frames they lie in."""
        self._audit(site, (study,), RAW_READ, purpose)
        return b"".join(self._plain(bucket, key, start, length))

    def stream(self, bucket: str, key: str, *, site: str, study: str, purpose: str) -> Iterator[bytes]:
        """Yield an object's plain bytes in pieces, holding about a megabyte at a time."""
        self._audit(site, (study,), RAW_READ, purpose)
        return self._plain(bucket, key, 0, None)

    def delete(self, bucket: str, key: str) -> None:
        """Remove an object; no error where there is none."""
        self._objects.delete(bucket, key)

    def _plain(self, bucket: str, key: str, start: int, length: int | None) -> Iterator[bytes]:
        info = self._objects.head(bucket, key)
        if info is None:
            raise ObjectMissingError
        layout = _Layout.of(info.size)
        cipher = _cipher(self._keys, self._objects.get(bucket, key, 0, HEADER_BYTES), bucket, key)
        stop = layout.plain_size if length is None else min(start + length, layout.plain_size)
        if length is not None and start >= stop:
            return
        last_frame = max(stop - 1, 0) // FRAME_BYTES
        for first in range(start // FRAME_BYTES, last_frame + 1, READ_FRAMES):
            until = min(first + READ_FRAMES, last_frame + 1)
            for index, plain in enumerate(self._frames(bucket, key, cipher, layout, first, until), first):
                offset = index * FRAME_BYTES
                yield plain[max(start - offset, 0) : stop - offset]

    def _frames(
        self, bucket: str, key: str, cipher: _Cipher, layout: _Layout, first: int, until: int
    ) -> Iterator[bytes]:
        stored = memoryview(
            self._objects.get(
                bucket, key, HEADER_BYTES + first * SEALED_FRAME_BYTES, (until - first) * SEALED_FRAME_BYTES
            )
        )
        for index in range(first, until):
            offset = (index - first) * SEALED_FRAME_BYTES
            frame = stored[offset : offset + SEALED_FRAME_BYTES]
            yield cipher.open(index, index == layout.frames - 1, frame)
