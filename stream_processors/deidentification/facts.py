"""A first look at the top level: the few attributes on which the decisions about all others rest."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from stream_processors.deidentification.dictionary import decoded
from stream_processors.deidentification.encoding import UNDEFINED, Encoding
from stream_processors.deidentification.kinds import NO_ENTRY, Entry, kinds
from stream_processors.deidentification.runs import (
    BOUNDS,
    HEAD,
    LAST_TAG,
    LIMITS,
    MOST_BYTES,
    MOST_ELEMENTS,
    NOTHING,
    Found,
    bound_of,
)
from stream_processors.deidentification.walker import BYTES_BETWEEN_LOOKS, Walker

FIRST_PIXELS: Final = 0x7FE00008
"""Pixels end a walk."""

MOST_DIGITS: Final = 12
MOST: Final = 2**31 - 1
"""Bytes of a number that is a text, and the largest one (IS, PS3.5 §6.2), which a count in an event can hold, too."""

TAGS: Final = frozenset(
    {
        0x00080005, 0x00080008, 0x00080016, 0x00080018, 0x00080020, 0x00080060, 0x00080064, 0x00080070,
        0x0008103E, 0x00081090, 0x00100020, 0x00100021, 0x00100030, 0x00100040, 0x00101010, 0x00120063,
        0x00180015, 0x00185101, 0x0020000D, 0x0020000E, 0x00280002, 0x00280004, 0x00280008,
        0x00280010, 0x00280011, 0x00280100, 0x00280301, 0x00400275, 0x00401003,
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Facts:
    """Values at top level, and where our own marks go."""

    values: dict[int, bytes]
    encoding: Encoding
    marks: list[int]
    """Where what was done is to be said: (0012,0062) to (0012,0064), and (0028,0303)."""
    runs: list[tuple[int, bytes]]
    """Where plain elements stand together that an earlier file had, too, in order, with their bytes (see `runs`)."""

    def text(self, tag: int) -> str:
        """Decode one element as one text; "" when it is absent."""
        return _text(self.values.get(tag, b""), self.values.get(0x00080005, b""))

    def count(self, tag: int, default: int) -> int:
        """Read a number, binary (US) or text (IS)."""
        return _count(self.values.get(tag, b""), tag, self.encoding, default)

    def pixel_bytes(self, given: int) -> int:
        """Give the bytes of native pixels, of `given` ones, that the header describes.

        Number of Frames that is written and cannot be read describes nothing: as many whole frames as there are count.
        """
        rows, columns, samples, bits = (
            self.count(tag, 1) for tag in (0x00280010, 0x00280011, 0x00280002, 0x00280100)
        )
        frame = rows * columns * samples * bits
        frames = self.count(0x00280008, -1 if self.text(0x00280008) else 1)
        if frames < 0 < frame:
            frames = given * 8 // frame
        return (frame * max(frames, 1) + 7) // 8

    def priorities(self) -> list[str]:
        """Read Requested Procedure Priority, at top level and in the items of Request Attributes Sequence."""
        found = [self.text(0x00401003)]
        inside, key = self.values.get(0x00400275, b""), self.encoding.element(0x00401003, "SH", b"")
        key = key[: self.encoding.key_width]
        at = inside.find(key)
        while at >= 0:
            length = int.from_bytes(
                inside[at + 6 : at + 8] if self.encoding.explicit else inside[at + 4 : at + 8],
                "big" if self.encoding.endian == ">" else "little",
            )
            found.append(inside[at + 8 : at + 8 + length].decode("latin-1").strip(" \0"))
            at = inside.find(key, at + 8 + length)
        return found


@lru_cache(maxsize=4096)
def _text(value: bytes, character_set: bytes) -> str:
    return decoded(value, character_set).strip(" \0")


@lru_cache(maxsize=1024)
def _count(value: bytes, tag: int, encoding: Encoding, default: int) -> int:
    if tag == 0x00280008:
        text = value.decode("latin-1").split("\\")[0].strip(" \0")
        is_count = text.isdecimal() and len(text) <= MOST_DIGITS and int(text) <= MOST
        return int(text) if is_count else default
    numbers = encoding.numbers("US", value)
    return numbers[0] if numbers else default


def read_facts(  # noqa: C901, PLR0915 - a hot loop, as the walk
    walker: Walker, encoding: Encoding, at: int
) -> Facts:
    """Step over the top level, from run to run where they are known, and change nothing.

    Where a run ends follows from its own bytes, and of a fact that is given twice the first one counts: what was
    read before decides how fast a file is read, never what is found in it.

    Raises
    ------
    RefusedError, MoreNeededError
        As the walk itself.
    """
    raw, table = walker.raw, kinds(walker.profile, encoding)
    known, get, width, limit = table.runs, table.known.get, encoding.key_width, min(walker.size, len(raw))
    facts = Facts({}, encoding, [], [])
    values, marks, runs, pause = facts.values, facts.marks, facts.runs, at + BYTES_BETWEEN_LOOKS
    inside: Found = ()
    begin, group, count, beyond, over, behind = -1, -1, 0, BOUNDS[0], BOUNDS[0], -1
    while at < walker.size and (at < pause or (pause := walker.looked(at, walker.size, len(runs)))):
        size, tag = known.sizes.get(raw[at : at + HEAD], NOTHING)
        run = raw[at : at + size]
        found = known.facts.get(run)
        entry = NO_ENTRY if found is not None else get(raw[at : at + width]) or walker.learn(table, at)
        tag = entry.tag or tag
        if begin >= 0 and (found is not None or tag > over or tag >> 16 != group or count == MOST_ELEMENTS):
            known.learn(raw, begin, at, inside)
            begin = -1
        if tag > beyond:
            beyond, behind = _passed(tag, at, marks), -1
        if found is not None:
            for fact in found:
                values.setdefault(*fact)
            if at == behind:
                known.join(runs[-1][1], run, walker.replacing.anybodys)
            runs.append((at, run))
            # Where the head ends in a longer run, a shorter one may be known by the same bytes.
            at = behind = at + len(run)
            continue
        length_of, length_at, value_at, _code, _tag, _vr, _rule, plain, _fixed = entry
        length = length_of(raw, at + length_at)[0]
        stop, plain = at + value_at + length, plain and length <= MOST_BYTES
        if beyond == LAST_TAG and (length == UNDEFINED or tag >= FIRST_PIXELS):
            break  # only runs are still of interest, and there are none behind
        if stop > limit:
            stop = _stop_beyond(walker, entry, encoding, at, length)
        if begin < 0 and plain:
            begin, group, count, inside, over = at, tag >> 16, 0, (), bound_of(tag)
        elif begin >= 0 and not plain:
            known.learn(raw, begin, at, inside)
            begin = -1
        count += 1
        if tag in TAGS:
            values.setdefault(tag, raw[at + value_at : stop])
            inside += ((tag, raw[at + value_at : stop]),)
        at = stop
    if begin >= 0:
        known.learn(raw, begin, at, inside)
    marks += [at, at]
    return facts


def _stop_beyond(walker: Walker, entry: Entry, encoding: Encoding, at: int, length: int) -> int:
    """Find the end of a value of undefined length, or say that what was given ends before it."""
    if length != UNDEFINED:
        raise walker.cut_short(at + entry.value_at + length)
    return walker.skipped(entry, encoding, at)


def _passed(tag: int, at: int, marks: list[int]) -> int:
    """Note the bounds that a tag lies behind; give the next one."""
    passed = bisect_left(BOUNDS, tag)
    marks += [at] * (passed - len(marks))
    return LIMITS[passed]
