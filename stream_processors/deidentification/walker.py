"""Walk the bytes of a data set and write down what to change: nothing that stays is parsed or copied.

The walk knows elements only by their first bytes: tag, and VR where it is coded. What to do with each such
key is decided once (`rules.rule`) and remembered, for all files of a profile. The result is a list of edits,
in file order; everything between them is untouched.
"""

from __future__ import annotations

from typing import Final

from stream_processors.deidentification import rules
from stream_processors.deidentification.budget import Budget
from stream_processors.deidentification.edits import Edit, Path
from stream_processors.deidentification.encoding import IMPLICIT_LITTLE, UNDEFINED, Encoding
from stream_processors.deidentification.identity import Identity
from stream_processors.deidentification.kinds import (
    CHANGE,
    END,
    FIXED,
    ITEM,
    ITEMS,
    NUMBER,
    PASS,
    PIXEL_DATA,
    PIXELS,
    PRIVATE,
    REMOVE,
    SEQUENCE_END,
    TEXT,
    Entry,
    Kinds,
    Met,
    Table,
    as_safe,
    kinds,
)
from stream_processors.deidentification.profile import Profile
from stream_processors.deidentification.refusal import MoreNeededError, RefusedError
from stream_processors.deidentification.replacing import Replacing
from stream_processors.deidentification.runs import HEAD, MOST_ELEMENTS
from stream_processors.deidentification.table import safe_private

MAX_DEPTH: Final = 32
"""Nested sequences; real objects stay under 10, and a recursive reader must not be led further."""

MOST_BYTES_OF_SEQUENCE: Final = 1024
"""bytes of a nested sequence that is looked for among earlier ones."""

BYTES_BETWEEN_LOOKS: Final = 64 * 1024
"""bytes of elements from one look at the time to the next; nearly every data set is shorter."""

MAX_REMEMBERED: Final = 8192
"""Harmless texts remembered, each no longer than the next constant."""
MAX_REMEMBERED_BYTES: Final = 64

METHODS: Final = 0x00120064
"""De-identification Method Code Sequence: earlier steps' items stay before ours (PS3.15 §E.1.1)."""

_READ: Final = frozenset({rules.SCRUB, rules.CLEAN, rules.HOLD, rules.NUMBER, rules.CODE, rules.MODEL})
"""Rules whose texts, where they stay, are searched for names."""

_NUMERIC: Final = b"0123456789+-.eE\\ \0"

_harmless: dict[tuple[str, bytes], None] = {}
"""Texts found to hold nothing but vocabulary: such texts identify nobody, whoever the patient is."""


class Walker:
    """One walk over one file."""

    def __init__(self, raw: bytes, size: int, profile: Profile, replacing: Replacing) -> None:
        self.raw = raw
        self.size = size
        self.profile = profile
        self.replacing = replacing
        self.identity = Identity()
        self.edits: list[Edit] = []
        self.texts: list[bytes] = []
        self.numbers: list[bytes] = []
        self.delta = 0
        self.budget = Budget()
        self.dropped = False
        """Whether what is walked does not stay: only the names in it are of interest."""
        self.pixels_at = -1
        self.pixels_value_at = -1
        self.encapsulated = False
        self.methods = (-1, -1, -1, -1)
        """Of the sequence of methods at top level: its start, its first item, the end of its last, its end."""
        self.tables: dict[Encoding, Table] = {}
        self.creators: dict[int, str] = {}
        """Of private blocks at top level, which is walked in parts."""

    def data_set(  # noqa: C901, PLR0912, PLR0915 - the hot loop: a call per element would cost more than its work
        self, encoding: Encoding, at: int, end: int, path: Path = (), depth: int = 0
    ) -> int:
        """Walk one data set: the top level, or an item; give the position behind it.

        This is the hot loop, written out: an element that stays costs two lookups and one comparison.
        """
        raw, edits, texts, numbers = self.raw, self.edits, self.texts, self.numbers
        table, again, _ = self.tables.get(encoding) or self._table(encoding)
        get, limit = table.met.get, min(end, len(raw))
        pause, private, removed = min(limit, at + BYTES_BETWEEN_LOOKS), {} if depth else self.creators, 0
        harmless = _harmless if (plain := self.replacing.pattern is None) else {}
        while at < pause or (at < limit and (pause := self.looked(at, limit))):
            size, code, tag, vr, rule, value_at, entry = get(raw[at : at + HEAD]) or self._meet(table, at)
            if size < 0:
                size = value_at + entry.length_of(raw, at + entry.length_at)[0]
            stop = at + size
            if code >= ITEMS:
                if code == END or (code == PIXEL_DATA and not self.dropped):
                    self.delta -= removed
                    return at + value_at if code == END else self._pixels(at, value_at, size, depth)
                if code == ITEMS:
                    at = self._sequence(entry, encoding, at, size - value_at, end, path, depth)
                    continue
                if code == PRIVATE:
                    at = self._private(entry, encoding, at, size - value_at, end, (path, depth), private)
                    continue
            if stop > limit:
                at = self._beyond(entry, encoding, at, size - value_at, end, path, depth)
                continue
            if code == REMOVE:
                edits.append((at, stop, b"", path, tag, rule))
                removed += size
            elif TEXT <= code <= NUMBER:
                value = raw[at + value_at : stop]
                if code == TEXT and (vr, value) in harmless:
                    texts.append(value)
                elif code == NUMBER and plain and not value.translate(None, _NUMERIC):
                    numbers.append(value)
                else:
                    self._change(entry, encoding, at, value, path, depth)
            elif code == FIXED and (size > value_at or rule == rules.DUMMY):
                edits.append((at, stop, entry.fixed or b"", path, tag, rule))
                removed += size - len(entry.fixed or b"")
            elif code == CHANGE:
                before = again.get(raw[at:stop])
                if before is None:
                    self._change(entry, encoding, at, raw[at + value_at : stop], path, depth)
                elif before:
                    edits.append((at, stop, before, path, tag, rule))
                    removed += size - len(before)
            at = stop
        self.delta -= removed
        return self._complete(at, end)

    def looked(self, at: int, limit: int, runs: int = 0) -> int:
        """Look whether a long data set may go on; give the place for the next look.

        Raises
        ------
        RefusedError
            too-large or deadline, for a file that is made of nothing but the smallest elements.
        """
        self.budget.look(runs * MOST_ELEMENTS + len(self.edits) + len(self.texts) + len(self.numbers))
        return min(limit, at + BYTES_BETWEEN_LOOKS)

    def _table(self, encoding: Encoding) -> Table:
        return self.tables.setdefault(encoding, (kinds(self.profile, encoding), {}, set()))

    def _meet(self, table: Kinds, at: int) -> Met:
        """Meet an element for the first time, or one whose first eight bytes are not all there."""
        entry = table.known.get(self.raw[at : at + table.encoding.key_width]) or self.learn(table, at)
        return table.meet(self.raw[at : at + HEAD], entry)

    def _complete(self, at: int, end: int) -> int:
        if end > len(self.raw) or at > end:
            raise self.cut_short()
        return at

    def learn(self, table: Kinds, at: int) -> Entry:
        """Meet a kind of element for the first time, or the end of what was given."""
        if at + 12 > len(self.raw) < self.size or at + 8 > self.size:
            raise self.cut_short()
        return table.learn(self.raw[at : at + table.encoding.key_width])

    def cut_short(self, needed: int = 0) -> Exception:
        """Say whether the file ends too early or only what was given of it."""
        if len(self.raw) < self.size and needed <= self.size:
            return MoreNeededError(min(self.size, max(needed, 2 * len(self.raw))))
        return RefusedError("truncated")

    def skipped(self, entry: Entry, encoding: Encoding, at: int) -> int:
        """Find the end of a value of undefined length, and change nothing."""
        items = self.budget.items
        stop = self._gathered(entry, encoding, at, UNDEFINED, self.size, (), 0)
        self.budget.items = items
        return stop

    def _beyond(
        self, entry: Entry, encoding: Encoding, at: int, length: int, end: int, path: Path, depth: int
    ) -> int:
        """Deal with a value of undefined length that is no data set of ours, or one that is not all there."""
        if length != UNDEFINED or not entry.vr:
            if at + entry.value_at + length <= end:
                raise self.cut_short()
            raise RefusedError("truncated")
        if entry.tag in PIXELS:
            return self._fragments(encoding, at + entry.value_at)
        if entry.rule != rules.REMOVE and entry.rule not in (rules.EMPTY, rules.DUMMY):
            raise RefusedError("malformed")
        stop = self._gathered(entry, encoding, at, length, end, path, depth)
        self._replace(entry, encoding, at, stop, path)
        return stop

    def _gathered(
        self, entry: Entry, encoding: Encoding, at: int, length: int, end: int, path: Path, depth: int
    ) -> int:
        """Walk a sequence only for its end and for the names in it; nothing of it stays."""
        if length == UNDEFINED and entry.vr in ("OB", "OW"):
            return self._fragments(encoding, at + entry.value_at)
        edits, texts, numbers, delta = len(self.edits), len(self.texts), len(self.numbers), self.delta
        outer, self.dropped = self.dropped, True
        stop = self._sequence(entry, encoding, at, length, end, path, depth)
        self.dropped = outer
        del self.edits[edits:], self.texts[texts:], self.numbers[numbers:]
        self.delta = delta
        return stop

    def _sequence(
        self, entry: Entry, encoding: Encoding, at: int, length: int, end: int, path: Path, depth: int
    ) -> int:
        """Walk a sequence; one that was walked before, and has no part in the output or stays as it is, does so again."""
        stop = at + entry.value_at + length
        if length > MOST_BYTES_OF_SEQUENCE or stop > end or not depth:
            return self._items(entry, encoding, at, length, end, path, depth)
        known, mark = (depth, self.dropped, self.raw[at:stop]), len(self.edits)
        settled = self.tables[encoding][2]
        if known not in settled:
            self._items(entry, encoding, at, length, end, path, depth)
            if self.dropped or len(self.edits) == mark:
                settled.add(known)
        return stop

    def _items(
        self, entry: Entry, encoding: Encoding, at: int, length: int, end: int, path: Path, depth: int
    ) -> int:
        """Walk the items of a sequence; UN is coded implicit inside, whatever surrounds it (PS3.5 §6.2.2)."""
        if depth >= MAX_DEPTH:
            raise RefusedError("too-large")
        inside = encoding
        if encoding.explicit and self.raw[at + 4 : at + 6] == b"UN":
            inside = IMPLICIT_LITTLE
        begin = at + entry.value_at
        stop = end if length == UNDEFINED else begin + length
        if stop > end:
            raise RefusedError("truncated")
        mark, delta = len(self.edits), self.delta
        start, at, number = at, begin, 0
        table = (self.tables.get(inside) or self._table(inside))[0]
        while at < stop:
            tag, item_length = self._item(table, at)
            if tag != ITEM:
                if tag == SEQUENCE_END and length == UNDEFINED:
                    self._note_methods(entry.tag, depth, (start, begin, at, at + 8))
                    return at + 8
                raise RefusedError("malformed")
            number += 1
            at = self._one_item(table, at, item_length, stop, (path, entry.tag, number), depth + 1)
        if at != stop or length == UNDEFINED:
            raise self.cut_short()
        if self.delta != delta:
            new = self.tables[encoding][0].long(length + self.delta - delta)
            self.edits.insert(mark, (begin - 4, begin, new, path, entry.tag, ""))
        self._note_methods(entry.tag, depth, (start, begin, at, at))
        return at

    def _note_methods(self, tag: int, depth: int, place: tuple[int, int, int, int]) -> None:
        if tag == METHODS and not depth:
            self.methods = place

    def _one_item(self, table: Kinds, at: int, length: int, end: int, path: Path, depth: int) -> int:
        begin, mark, delta, encoding = at + 8, len(self.edits), self.delta, table.encoding
        if length == UNDEFINED:
            after = self.data_set(encoding, begin, end, path, depth)
            if self.raw[after - 8 : after - 4] != table.item_end:
                raise RefusedError("truncated")
            return after
        after = begin + length
        if after > end:
            raise RefusedError("truncated")
        if self.data_set(encoding, begin, after, path, depth) != after:
            raise RefusedError("malformed")
        if self.delta != delta:
            self.edits.insert(mark, (at + 4, begin, table.long(length + self.delta - delta), path, ITEM, ""))
        return after

    def _item(self, table: Kinds, at: int) -> tuple[int, int]:
        self.budget.spend()
        if at + 8 > len(self.raw):
            raise self.cut_short()
        group, element, length = table.item(self.raw, at)
        return group << 16 | element, length

    def _pixels(self, at: int, value_at: int, size: int, depth: int) -> int:
        """Step over the pixels without a look; of fragments, the end is found when they are handed on.

        Pixels in an item that stays are no icon's, and nobody looks whether they show a name.
        """
        if depth:
            raise RefusedError("unsupported-content")
        begin, length = at + value_at, size - value_at
        self.pixels_at, self.pixels_value_at, self.encapsulated = at, begin, length == UNDEFINED
        if length != UNDEFINED:
            if begin + length > self.size:
                raise RefusedError("truncated")
            return begin + length
        return self.size

    def _fragments(self, encoding: Encoding, at: int) -> int:
        table = (self.tables.get(encoding) or self._table(encoding))[0]
        while True:
            tag, length = self._item(table, at)
            at += 8
            if tag == SEQUENCE_END:
                return at
            if tag != ITEM:
                raise RefusedError("malformed")
            at += length
            if at > self.size:
                raise RefusedError("truncated")

    def _private(
        self, entry: Entry, encoding: Encoding, at: int, length: int, end: int,
        place: tuple[Path, int], creators: dict[int, str],
    ) -> int:  # fmt: skip
        """Keep a private attribute whose creator is known for it (PS3.15 §E.3.10); all others go."""
        path, depth = place
        group, element = entry.tag >> 16, entry.tag & 0xFFFF
        stop = at + entry.value_at + length
        if 0x10 <= element <= 0xFF and stop <= min(end, len(self.raw)):
            creator = self.raw[at + entry.value_at : stop].decode("latin-1").strip(" \0")
            if any(group == each[1] and creator == each[0] for each in safe_private()):
                creators[group << 8 | element] = creator
                return stop
        key = (creators.get(group << 8 | element >> 8, ""), group, element & 0xFF)
        listed = safe_private().get(key) if element > 0xFF else None
        safe = entry._replace(code=REMOVE, rule=rules.REMOVE)
        if listed is not None:
            safe = as_safe(entry, listed, encoding)
        if safe.code == ITEMS:
            return self._sequence(safe, encoding, at, length, end, path, depth)
        if stop > min(end, len(self.raw)):
            return self._beyond(safe._replace(vr=safe.vr or "UN"), encoding, at, length, end, path, depth)
        if safe.code != PASS:
            self._change(safe, encoding, at, self.raw[at + entry.value_at : stop], path, depth)
        return stop

    def _change(
        self, entry: Entry, encoding: Encoding, at: int, value: bytes, path: Path, depth: int
    ) -> None:
        """Do to one element what its rule asks; a text that stays is remembered for the look for names."""
        stop = at + entry.value_at + len(value)
        tag, vr, rule = entry.tag, entry.vr, entry.rule
        if vr == "SQ":
            self._gathered(entry, encoding, at, len(value), stop, path, depth)
        else:
            self.identity.note(tag, vr, value)
            if self.dropped:
                return
        if rule == rules.REMOVE or vr == "SQ":
            self._replace(entry, encoding, at, stop, path)
            return
        if entry.fixed is not None:
            if value or rule == rules.DUMMY:
                self._edit(entry, at, stop, path, entry.fixed)
            return
        new = self.replacing.value(tag, vr, rule, value, encoding)
        short, element = len(value) <= MAX_REMEMBERED_BYTES, b""
        if new is not None:
            element = encoding.element(tag, vr, new)
            self._edit(entry, at, stop, path, element)
        elif rule == rules.SCRUB and short and len(_harmless) < MAX_REMEMBERED:
            _harmless[vr, value] = None
        if rule == rules.CLEAN or (new is None and rule in _READ):
            self.texts.append(value if new is None else new)
        elif short:
            self.tables[encoding][1][self.raw[at:stop]] = element

    def _replace(self, entry: Entry, encoding: Encoding, at: int, stop: int, path: Path) -> None:
        """Remove, empty or dummy a whole element, a sequence among them."""
        if entry.rule == rules.REMOVE:
            self.edits.append((at, stop, b"", path, entry.tag, entry.rule))
            self.delta += at - stop
            return
        new = b""
        if entry.rule == rules.DUMMY:
            new = self.replacing.value(entry.tag, entry.vr, entry.rule, b"", encoding) or b""
        self._edit(entry, at, stop, path, encoding.element(entry.tag, entry.vr, new))

    def _edit(self, entry: Entry, at: int, stop: int, path: Path, element: bytes) -> None:
        self.edits.append((at, stop, element, path, entry.tag, entry.rule))
        self.delta += len(element) - (stop - at)
