"""A first look at the top level: the few attributes on which the decisions about all others rest."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from stream_processors.deidentification.dictionary import decoded
from stream_processors.deidentification.encoding import UNDEFINED, Encoding
from stream_processors.deidentification.kinds import kinds
from stream_processors.deidentification.runs import HEAD, MOST_BYTES, MOST_ELEMENTS, NOTHING, runs_of
from stream_processors.deidentification.walker import Walker

LAST_FACT: Final = 0x00401003
"""Beyond this tag nothing is asked; functional groups and pixels come later."""
LAST_TAG: Final = 0xFFFFFFFF

BOUNDS: Final = (0x00120064, 0x00280303, LAST_FACT)
"""Behind the first two stands what was done: (0012,0062) to (0012,0064), and (0028,0303)."""

TAGS: Final = frozenset(
    {
        0x00080005, 0x00080008, 0x00080016, 0x00080018, 0x00080020, 0x00080060, 0x00080064, 0x00080070,
        0x00081090, 0x00100020, 0x00100021, 0x00100030, 0x00100040, 0x00101010, 0x00120062, 0x00120063,
        0x00120064, 0x00180015, 0x00185101, 0x0020000D, 0x0020000E, 0x00280002, 0x00280004, 0x00280008,
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
    """Where plain elements stand together, in order, with their bytes (see `runs`)."""

    def text(self, tag: int) -> str:
        """Decode one element as one text; "" when it is absent."""
        return _text(self.values.get(tag, b""), self.values.get(0x00080005, b""))

    def count(self, tag: int, default: int) -> int:
        """Read a number, binary (US) or text (IS)."""
        return _count(self.values.get(tag, b""), tag, self.encoding, default)

    def priorities(self) -> list[str]:
        """Read Requested Procedure Priority, at top level and in the items of Request Attributes Sequence."""
        found = [self.text(0x00401003)]
        inside, key = self.values.get(0x00400275, b""), self.encoding.element(0x00401003, "SH", b"")
        at = inside.find(key[: self.encoding.key_width])
        if at >= 0:
            length = int.from_bytes(
                inside[at + 6 : at + 8] if self.encoding.explicit else inside[at + 4 : at + 8],
                "big" if self.encoding.endian == ">" else "little",
            )
            found.append(inside[at + 8 : at + 8 + length].decode("latin-1").strip(" \0"))
        return found


@lru_cache(maxsize=4096)
def _text(value: bytes, character_set: bytes) -> str:
    return decoded(value, character_set).strip(" \0")


@lru_cache(maxsize=1024)
def _count(value: bytes, tag: int, encoding: Encoding, default: int) -> int:
    if tag == 0x00280008:
        text = value.decode("latin-1").split("\\")[0].strip(" \0")
        return int(text) if text.isdecimal() else default
    numbers = encoding.numbers("US", value)
    return numbers[0] if numbers else default


def read_facts(walker: Walker, encoding: Encoding, at: int) -> Facts:  # noqa: C901 - a hot loop, as the walk
    """Step over the top level up to the last fact; nothing is changed.

    From run to run where they are known, else from element to element.

    Raises
    ------
    RefusedError, MoreNeededError
        As the walk itself.
    """
    raw, table, known = walker.raw, kinds(walker.profile, encoding), runs_of(walker.profile, encoding)
    get, width, limit = table.known.get, encoding.key_width, min(walker.size, len(raw))
    sizes, facts = known.sizes.get, known.facts.get
    facts_here = Facts({}, encoding, [], [])
    values, marks, runs = facts_here.values, facts_here.marks, facts_here.runs
    beyond, begin, group, count, inside = BOUNDS[0], -1, -1, 0, ()
    while at < walker.size:
        size, tag = sizes(raw[at : at + HEAD], NOTHING)
        run = raw[at : at + size]
        found = facts(run) if size else None
        if found is None:
            entry = get(raw[at : at + width]) or walker.learn(table, at)
            length_of, length_at, value_at, _code, tag, _vr, _rule, plain = entry
        if begin >= 0 and (found is not None or tag > beyond or tag >> 16 != group or count == MOST_ELEMENTS):
            runs.append(known.learn(raw, begin, at, inside))
            begin = -1
        if tag > beyond:
            while tag > BOUNDS[len(marks)]:
                marks.append(at)
                if len(marks) == len(BOUNDS):
                    break
            beyond = BOUNDS[len(marks)] if len(marks) < len(BOUNDS) else LAST_TAG
        if found is not None:
            for each, value in found:
                values.setdefault(each, value)
            runs.append((at, run))
            at += size
            continue
        length = length_of(raw, at + length_at)[0]
        stop = at + value_at + length
        if beyond == LAST_TAG and (stop > limit or not plain):
            break  # only runs are still of interest, and what comes now is large
        if stop > limit:
            if length != UNDEFINED:
                raise walker.cut_short(stop)
            stop = walker.skipped(entry, encoding, at)
            plain = False
        if begin < 0 and plain and length <= MOST_BYTES:
            begin, group, count, inside = at, tag >> 16, 0, ()
        elif begin >= 0 and not (plain and length <= MOST_BYTES):
            runs.append(known.learn(raw, begin, at, inside))
            begin = -1
        count += 1
        if tag in TAGS:
            value = raw[at + value_at : stop]
            values.setdefault(tag, value)
            inside += ((tag, value),)
        at = stop
    if begin >= 0:
        runs.append(known.learn(raw, begin, at, inside))
    marks += [at, at]
    return facts_here
