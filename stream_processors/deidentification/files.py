"""De-identify one file into another: the header through memory, the pixels from file to file in the kernel."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from schemas.identifiers import Pseudonyms
from stream_processors.deidentification.engine import plan
from stream_processors.deidentification.output import COPY, Plan, Range
from stream_processors.deidentification.pixels_at_risk import PixelPolicy, withhold
from stream_processors.deidentification.profile import DEFAULT, Profile
from stream_processors.deidentification.refusal import MoreNeededError, RefusedError
from stream_processors.deidentification.streaming import followed, verify_header

FIRST_BYTES: Final = 64 * 1024
"""bytes read first: nearly every header is shorter, and memory of that size is at hand without asking the kernel for it."""
COPY_BYTES: Final = 1 << 30
"""bytes asked of the kernel at once."""


def deidentify_file(
    source: Path,
    target: Path,
    pseudonyms: Pseudonyms,
    profile: Profile = DEFAULT,
    policy: PixelPolicy = withhold,
    *,
    verified: bool = True,
) -> Plan:
    """Write the clean form of a file, whole or not at all; a file whose pixels are at risk is not written.

    Parameters
    ----------
    verified
        Whether the output is read again before it is put in place. Only a measurement has a reason to leave that out.

    Raises
    ------
    RefusedError
        With one of `REASONS`; there is no target.
    OSError
        When a file cannot be read or written.
    """
    descriptor = os.open(source, os.O_RDONLY)
    try:
        made, head = _planned(descriptor, os.fstat(descriptor).st_size, pseudonyms, profile, policy)
        if made.pixels_at_risk:
            return made
        if verified:
            verify_header(made, profile)
        _put(made, descriptor, head, str(target))
    finally:
        os.close(descriptor)
    return made


def _put(made: Plan, source: int, head: bytes, target: str) -> None:
    """Write beside the target, then take its place: a file that is there is whole."""
    part = target + ".part"
    out = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        try:
            _write(made, source, out, head)
        finally:
            os.close(out)
        os.replace(part, target)  # noqa: PTH105 - as for all calls here, a path object is more work than the call
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def _planned(
    descriptor: int, size: int, pseudonyms: Pseudonyms, profile: Profile, policy: PixelPolicy
) -> tuple[Plan, bytes]:
    wanted = FIRST_BYTES
    while True:
        head = os.pread(descriptor, min(wanted, size), 0)
        try:
            return plan(head, size, pseudonyms, profile, policy), head
        except MoreNeededError as needed:
            if len(head) < min(wanted, size):
                raise RefusedError("truncated") from None
            wanted = max(needed.size, 8 * wanted)


def _write(made: Plan, source: int, out: int, head: bytes) -> None:
    if made.size > 0 and hasattr(os, "posix_fallocate"):  # all its blocks at once: a third less work for ext4
        os.posix_fallocate(out, 0, made.size)
    if made.inflated is None and all(_is_plain(piece) for piece in made.pieces):
        _spliced(made, source, out, head)
        return
    for chunk in followed(made, lambda at, length: os.pread(source, length, at), head):
        _all(out, chunk)


def _spliced(made: Plan, source: int, out: int, head: bytes) -> None:
    """Write what is in memory in one call, and what lies behind the head from file to file."""
    view, ready = memoryview(head), list[bytes | memoryview]()
    for piece in made.pieces:
        if isinstance(piece, bytes):
            ready.append(piece)
            continue
        ready.append(view[piece.start : piece.stop])
        if piece.stop > len(head):
            _gathered(out, ready)
            ready.clear()
            _copied(source, out, Range(max(piece.start, len(head)), piece.stop))
    if ready:
        _gathered(out, ready)


def _gathered(out: int, ready: list[bytes | memoryview]) -> None:
    written = os.writev(out, ready)
    for each in ready:
        if written < len(each):
            _all(out, memoryview(each)[written:])
        written = max(written - len(each), 0)


def _is_plain(piece: bytes | Range) -> bool:
    return isinstance(piece, bytes) or piece.how == COPY


def _all(out: int, data: bytes | memoryview) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(out, left) :]


def _copied(source: int, out: int, piece: Range) -> None:
    """Let the kernel copy; what it cannot is an error of the file system, and the file is not written."""
    at = piece.start
    while at < piece.stop:
        passed = os.sendfile(out, source, at, min(COPY_BYTES, piece.stop - at))
        if not passed:
            raise RefusedError("truncated")
        at += passed
