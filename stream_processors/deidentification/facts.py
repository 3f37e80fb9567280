"""A first look at the top level: the few attributes on which the decisions about all others rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from stream_processors.deidentification.dictionary import decoded
from stream_processors.deidentification.encoding import UNDEFINED, Encoding
from stream_processors.deidentification.kinds import kinds
from stream_processors.deidentification.walker import Walker

LAST_FACT: Final = 0x00401003
"""Beyond this tag nothing is asked; functional groups and pixels come later."""

BOUNDS: Final = (0x00120064, 0x00280303, LAST_FACT)
"""Behind the first two stands what was done: (0012,0062) to (0012,0064), and (0028,0303)."""

TAGS: Final = frozenset(
    {
        0x00080005, 0x00080008, 0x00080016, 0x00080018, 0x00080020, 0x00080060, 0x00080064, 0x00080070,
        0x0008103E, 0x00081090, 0x00100020, 0x00100021, 0x00100030, 0x00100040, 0x00101010, 0x00120062, 0x00120063,
        0x00120064, 0x00180015, 0x00185101, 0x0020000D, 0x0020000E, 0x00280002, 0x00280004, 0x00280008,
        0x00280010, 0x00280011, 0x00280100, 0x00280301, 0x00400275, 0x00401003,
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Facts:
    """Values at top level, and where our own marks go."""

    values: dict[int, bytes]
    encoding: Encoding
    marks_at: int
    temporal_at: int

    def text(self, tag: int) -> str:
        """Decode one element as one text; "" when it is absent."""
        value = self.values.get(tag, b"")
        return decoded(value, self.values.get(0x00080005, b"")).strip(" \0")

    def count(self, tag: int, default: int) -> int:
        """Read a number, binary (US) or text (IS)."""
        value = self.values.get(tag, b"")
        if tag == 0x00280008:
            text = value.decode("latin-1").split("\\")[0].strip(" \0")
            return int(text) if text.isdecimal() else default
        numbers = self.encoding.numbers("US", value)
        return numbers[0] if numbers else default

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


def read_facts(walker: Walker, encoding: Encoding, at: int) -> Facts:
    """Step over the top level up to the last fact; nothing is changed.

    Raises
    ------
    RefusedError, MoreNeededError
        As the walk itself.
    """
    raw, table = walker.raw, kinds(walker.profile, encoding)
    get, width, limit = table.known.get, encoding.key_width, min(walker.size, len(raw))
    values: dict[int, bytes] = {}
    marks: list[int] = []
    beyond = BOUNDS[0]
    while at < walker.size:
        entry = get(raw[at : at + width]) or walker.learn(table, at)
        length_of, length_at, value_at, _code, tag, _vr, _rule = entry
        if tag > beyond:
            while tag > BOUNDS[len(marks)]:
                marks.append(at)
                if len(marks) == len(BOUNDS):
                    return Facts(values, encoding, marks[0], marks[1])
            beyond = BOUNDS[len(marks)]
        length = length_of(raw, at + length_at)[0]
        stop = at + value_at + length
        if stop > limit:
            if length != UNDEFINED:
                raise walker.cut_short(stop)
            stop = walker.skipped(entry, encoding, at)
        if tag in TAGS and tag not in values:
            values[tag] = raw[at + value_at : stop]
        at = stop
    marks += [at, at]
    return Facts(values, encoding, marks[0], marks[1])
