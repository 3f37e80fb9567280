"""Objects in a local folder, one file each, named so that no key can leave its bucket.

A key's components become percent-encoded names; a folder's name ends in `%`, so that `a` and `a/b` are both possible.
Objects under construction lie in `.writing/`, on the same file system, and appear by renaming.
"""

from __future__ import annotations

import os
import re
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote_to_bytes

from runtime.errors import RetryError, StopError
from runtime.ports import ObjectExistsError, ObjectInfo, ObjectMissingError

MAX_KEY_BYTES = 1024
"""Bytes of a key in UTF-8, as S3 limits them."""
ABANDONED_S = 24 * 3600
"""Seconds without a write after which an unfinished object counts as abandoned: no sender pauses for a day."""

_WRITING = ".writing"
"""No bucket can have this name: a component's leading dot is encoded."""
_PIECE = 200
"""Bytes of a file name before it is cut into nested folders; file systems allow 255."""
_PLAIN = re.compile(rb"[a-z0-9_-]|(?<=[a-z0-9_-])\.(?=[a-z0-9_-])")
"""What stays as it is. Capitals are encoded because some file systems take `A` for `a`; a lone dot could be `..`."""
_FOLDER, _CUT, _EMPTY = "%", "%~", "%-"
"""Ends of a folder's name and of a cut name, and the name of an empty last component; no encoding looks like these."""


class EmbeddedObjects:
    """The objects port on a folder.

    Parameters
    ----------
    folder
        Its entries are the buckets. Unfinished objects older than a day are removed at start.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writing = folder / _WRITING
        self._writing.mkdir(parents=True, exist_ok=True)
        self._sweep(time.time() - ABANDONED_S)

    def create_buckets(self, names: Sequence[str]) -> None:
        """Create the buckets that do not exist yet."""
        for name in names:
            with _decided():
                self._bucket(name).mkdir(parents=True, exist_ok=True)
                _sync_folder(self._folder)

    def put(self, bucket: str, key: str, data: bytes, *, if_absent: bool = False) -> ObjectInfo:
        """Store an object whole.

        Raises
        ------
        ObjectExistsError
            `if_absent`, and there is one.
        StopError
            There is no such bucket.
        RetryError
            The disk is full or fails.
        """
        writer = self.open_write(bucket, key)
        try:
            writer.write(data)
            return writer.finish(if_absent=if_absent)
        finally:
            writer.abort()

    def open_write(self, bucket: str, key: str) -> FileWriter:
        """Begin an object of unknown length."""
        path = self._path(bucket, key)
        if not self._bucket(bucket).is_dir():
            raise StopError(f"missing bucket: {bucket}")
        return FileWriter(self._writing / uuid.uuid4().hex, path, (bucket, key))

    def get(self, bucket: str, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Read an object or a part of it; what lies behind its end is left out.

        Raises
        ------
        ObjectMissingError
            There is no such object.
        """
        if start < 0 or (length is not None and length < 0):
            raise ValueError("a range has no negative start or length")
        with _decided(), self._path(bucket, key).open("rb", buffering=0) as file:
            file.seek(start)
            return file.readall() if length is None else _read_exactly(file, length)

    def head(self, bucket: str, key: str) -> ObjectInfo | None:
        """Look at an object without reading it."""
        try:
            with _decided():
                return ObjectInfo(bucket, key, self._path(bucket, key).stat().st_size)
        except ObjectMissingError:
            return None

    def delete(self, bucket: str, key: str) -> None:
        """Remove an object; no error where there is none."""
        path = self._path(bucket, key)
        try:
            with _decided():
                path.unlink()
                _sync_folder(path.parent)
        except ObjectMissingError:
            return

    def keys(self, bucket: str, prefix: str = "") -> Iterator[ObjectInfo]:
        """Every object under a prefix, in the order of the keys' UTF-8 bytes. Holds all keys in memory."""
        root = self._bucket(bucket)
        if not root.is_dir():
            raise StopError(f"missing bucket: {bucket}")
        wanted = prefix.encode()
        found = sorted(
            (key, path) for key, path in _walk(self._above(root, prefix), root) if key.startswith(wanted)
        )
        for key, path in found:
            try:
                yield ObjectInfo(bucket, key.decode(), path.stat().st_size)
            except FileNotFoundError:  # Deleted since it was listed.
                continue

    def _bucket(self, name: str) -> Path:
        if not name:
            raise ValueError("a bucket has a name")
        return self._folder / _encoded(name)

    def _path(self, bucket: str, key: str) -> Path:
        if not key or len(key.encode()) > MAX_KEY_BYTES:
            raise ValueError(f"a key has 1 to {MAX_KEY_BYTES} bytes")
        *folders, last = key.split("/")
        parts = [part for name in folders for part in _pieces(_encoded(name), _FOLDER)]
        return self._bucket(bucket).joinpath(*parts, *_pieces(_encoded(last) or _EMPTY, ""))

    def _above(self, root: Path, prefix: str) -> Path:
        """Deepest folder that holds everything under the prefix."""
        folders = prefix.split("/")[:-1]
        return root.joinpath(*(part for name in folders for part in _pieces(_encoded(name), _FOLDER)))

    def _sweep(self, before: float) -> None:
        """Remove unfinished objects that nobody has written to since a time."""
        for left in self._writing.iterdir():
            try:
                if left.stat().st_mtime < before:
                    left.unlink()
            except FileNotFoundError:  # Another process swept, or finished it.
                continue


class FileWriter:
    """An object being written; `EmbeddedObjects.open_write` makes it."""

    def __init__(self, unfinished: Path, target: Path, name: tuple[str, str]) -> None:
        self._unfinished = unfinished
        self._target = target
        self._bucket, self._key = name
        self._size = 0
        with _decided():
            self._file: BinaryIO = unfinished.open("xb")

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes."""
        with _decided():
            self._file.write(data)
        self._size += len(data) if isinstance(data, bytes) else data.nbytes

    def commit(self) -> ObjectInfo:
        """Make the object visible and durable, in place of an earlier one of its key."""
        return self.finish(if_absent=False)

    def finish(self, *, if_absent: bool) -> ObjectInfo:
        """Commit, or raise ObjectExistsError where there is an object already and `if_absent` is asked for."""
        with _decided():
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            _make_folders(self._target.parent)
            if if_absent:
                os.link(self._unfinished, self._target)
                self._unfinished.unlink()
            else:
                self._unfinished.replace(self._target)
            _sync_folder(self._target.parent)
        return ObjectInfo(self._bucket, self._key, self._size)

    def abort(self) -> None:
        """Forget what was written; harmless after `commit`."""
        self._file.close()
        self._unfinished.unlink(missing_ok=True)


@contextmanager
def _decided() -> Iterator[None]:
    """Turn the file system's errors into decisions."""
    try:
        yield
    except FileExistsError as error:
        raise ObjectExistsError from error
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ObjectMissingError from error
    except OSError as error:
        raise RetryError(f"the object folder does not answer (errno {error.errno})") from error


def _encoded(component: str) -> str:
    """One component of a key as a file name that means nothing to any file system."""
    data = component.encode()
    plain = {match.start() for match in _PLAIN.finditer(data)}
    return "".join(chr(byte) if at in plain else f"%{byte:02x}" for at, byte in enumerate(data))


def _pieces(name: str, end: str) -> list[str]:
    """Cut a long name into nested folders."""
    pieces = [name[at : at + _PIECE] for at in range(0, len(name), _PIECE)] or [""]
    return [piece + _CUT for piece in pieces[:-1]] + [pieces[-1] + end]


def _walk(folder: Path, root: Path) -> Iterator[tuple[bytes, Path]]:
    """Every object below a folder, as its key and its file."""
    for where, _, files in os.walk(folder):
        for name in files:
            path = Path(where, name)
            yield _key(path.relative_to(root).parts), path


def _key(parts: Sequence[str]) -> bytes:
    """Key of a file below its bucket."""
    text = ""
    for part in parts[:-1]:
        text += part.removesuffix(_CUT) if part.endswith(_CUT) else part.removesuffix(_FOLDER) + "/"
    return unquote_to_bytes(text + ("" if parts[-1] == _EMPTY else parts[-1]))


def _read_exactly(file: BinaryIO, length: int) -> bytes:
    """Read until `length` bytes or the end: one call of an unbuffered file may return less."""
    parts = []
    while length and (part := file.read(min(length, 2**30))):
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def _make_folders(folder: Path) -> None:
    """Create a folder and those above it, each durable in its parent."""
    if folder.is_dir():
        return
    _make_folders(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    """Make a folder's entries durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
