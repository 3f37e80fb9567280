"""What the engine gives: a plan of pieces, or the whole clean file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from stream_processors.deidentification.codestreams import PART_BYTES, fragments_without_text, in_parts
from stream_processors.deidentification.context import Context
from stream_processors.deidentification.identity import Identity
from stream_processors.deidentification.report import Report

COPY, BLANK, FRAGMENTS = "copy", "blank", "fragments"

Read = Callable[[int, int], bytes | memoryview]
"""Give the bytes of the source from a position on, so many; fewer only where it ends."""


class Range(NamedTuple):
    """Bytes of the source (of the inflated file, where there is one), and how they are handed on."""

    start: int
    stop: int
    how: str = COPY
    """`copy` as they are; `blank` as zeros; `fragments` up to their delimiter, without comments in them."""


@dataclass(frozen=True)
class Plan:
    """What to send: pieces of our own, and ranges of the source.

    Parameters
    ----------
    pieces
        In order; `bytes` of ours, or ranges.
    """

    pieces: tuple[bytes | Range, ...]
    inflated: bytes | None = field(repr=False)
    header_size: int
    """Bytes of the output before the pixels' value, or all of it."""
    size: int
    """Bytes of the output; -1 when fragments have to be followed to know."""
    report: Report
    context: Context
    pixels_at_risk: str | None
    codes: tuple[str, ...]
    """CID 7050 codes of all that was done."""
    identity: Identity = field(repr=False)
    days: int = field(repr=False)
    """The patient's date shift."""

    def buffers(self, source: bytes) -> Iterator[bytes | memoryview]:
        """Give the output's buffers over a whole source, without a copy.

        Raises
        ------
        RefusedError
            truncated, malformed or too-large, for encapsulated pixels that do not end.
        """
        view = memoryview(source if self.inflated is None else self.inflated)
        for piece in self.pieces:
            if isinstance(piece, bytes):
                yield piece
            elif piece.how == COPY:
                yield view[piece.start : piece.stop]
            else:
                yield from _followed(piece, lambda at, length: view[at : at + length])

    def chunks(self, read: Read) -> Iterator[bytes | memoryview]:
        """Give the output piece by piece over a source that is read in ranges; memory stays bounded.

        Raises
        ------
        RefusedError
            As `buffers`; truncated, too, when the source ends early.
        """
        if self.inflated is not None:
            yield from self.buffers(b"")
            return
        for piece in self.pieces:
            if isinstance(piece, bytes):
                yield piece
            else:
                yield from _followed(piece, read)


def _followed(piece: Range, read: Read) -> Iterator[bytes | memoryview]:
    if piece.how == FRAGMENTS:
        yield from fragments_without_text(read, piece.start, piece.stop)
    elif piece.how == COPY:
        yield from in_parts(read, piece.start, piece.stop)
    else:
        for at in range(piece.start, piece.stop, PART_BYTES):
            yield bytes(min(PART_BYTES, piece.stop - at))


@dataclass(frozen=True)
class Deidentified:
    """The clean file.

    Parameters
    ----------
    data
        A Part 10 file. Header only where `pixels_at_risk` gives a reason: such pixels stay raw.
    report, context
        What was done; what routing may know.
    pixels_at_risk
        `burned-in-annotation`, `ultrasound`, `secondary-capture`, or None.
    """

    data: bytes
    report: Report
    context: Context
    pixels_at_risk: str | None
