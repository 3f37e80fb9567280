"""The kinds of elements: what to do with one is decided once, by its first bytes, and remembered."""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Final, NamedTuple

from stream_processors.deidentification import rules
from stream_processors.deidentification.dictionary import LONG_VRS, SHORT_VRS, vr_of
from stream_processors.deidentification.encoding import UNDEFINED, Encoding, Length
from stream_processors.deidentification.identity import names_somebody
from stream_processors.deidentification.profile import Profile
from stream_processors.deidentification.refusal import RefusedError
from stream_processors.deidentification.runs import HEAD, VARYING, Runs
from stream_processors.deidentification.values import DUMMIES, ENCAPSULATED_DOCUMENT, dummy

MAX_KEYS: Final = 50_000
"""Kinds of elements remembered for a profile; a hostile file must not fill the memory."""

PIXELS: Final = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})

ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD

PASS, REMOVE, TEXT, NUMBER, FIXED, CHANGE, ITEMS, END, PIXEL_DATA, PRIVATE = range(10)
PLAIN_CODES: Final = frozenset({PASS, REMOVE, TEXT, NUMBER, FIXED, CHANGE})

_OWN_DUMMIES: Final = frozenset({0x00100020, ENCAPSULATED_DOCUMENT})
"""Patient ID becomes a pseudonym, a document nothing."""

_NEVER_SAFE: Final = frozenset({"AE", "AS", "DA", "DT", "PN", "TM", "UR"})
"""Names, dates and addresses, where the list has something else."""

_CODES: Final = {
    rules.PASS: PASS, rules.REMOVE: REMOVE, rules.SCRUB: TEXT, rules.NUMBER: NUMBER,
    rules.CLEAN_ITEMS: ITEMS,
}  # fmt: skip


class Entry(NamedTuple):
    """What is known of one kind of element."""

    length_of: Length
    length_at: int
    value_at: int
    code: int
    tag: int
    vr: str
    rule: str
    plain: bool
    """Whether it may be part of a run (see `runs`): its neighbours have no say in it, it holds no others that stay, and
    the slices of a series share it."""
    fixed: bytes | None = None
    """The element that takes its place whatever its value is."""


def _no_length(_raw: bytes, _at: int) -> tuple[int, ...]:
    return (0,)


NO_ENTRY: Final = Entry(_no_length, 0, 0, PASS, 0, "", "", False)
"""In place of what is not asked for."""


class Met(NamedTuple):
    """An element by its first eight bytes, its length among them where that is coded there: all that the walk asks."""

    size: int
    """Bytes of the element; -1 where its length stands behind the eight bytes, or is undefined."""
    code: int
    tag: int
    vr: str
    rule: str
    value_at: int
    entry: Entry


class Kinds:
    """The kinds of elements of one encoding under one profile, learned as they come."""

    def __init__(self, profile: Profile, encoding: Encoding) -> None:
        self.profile = profile
        self.encoding = encoding
        self.known: dict[bytes, Entry] = {}
        self.met: dict[bytes, Met] = {}
        self.item = struct.Struct(encoding.endian + "HHI").unpack_from
        self.long = struct.Struct(encoding.endian + "I").pack
        self.item_end = struct.pack(encoding.endian + "HH", 0xFFFE, 0xE00D)
        self.runs = Runs(encoding)
        self.u16, self.u32 = encoding.length_u16(), encoding.length_u32()

    def learn(self, key: bytes) -> Entry:
        """Decide what to do with a kind of element.

        Raises
        ------
        RefusedError
            malformed, for a VR that is none, and for an item that is in no sequence.
        """
        tag = self.encoding.tag(key)
        if tag in (ITEM_END, SEQUENCE_END):
            return Entry(self.u32, 4, 8, END, tag, "", "", False)
        if tag >> 16 == 0xFFFE:  # an item outside a sequence
            raise RefusedError("malformed")
        if self.encoding.explicit:
            coded = key[4:6].decode("latin-1")
            if coded not in LONG_VRS and coded not in SHORT_VRS:
                raise RefusedError("malformed")
            long = coded in LONG_VRS
            layout = (self.u32, 8, 12) if long else (self.u16, 6, 8)
        else:
            coded, layout = vr_of(tag) or "UN", (self.u32, 4, 8)
        rule = rules.rule(self.profile, tag, coded)
        vr = vr_of(tag) if coded == "UN" and rule != rules.REMOVE else coded
        code = self._code(tag, vr, rule)
        plain = code in PLAIN_CODES and (vr != "SQ" or rule == rules.REMOVE) and tag not in VARYING
        fixed = self._fixed(tag, vr, rule) if code == CHANGE else None
        if fixed is not None and not names_somebody(tag, vr):
            code = FIXED
        entry = Entry(*layout, code, tag, vr, rule, plain, fixed)
        if len(self.known) < MAX_KEYS:
            self.known[key] = entry
        return entry

    def meet(self, head: bytes, entry: Entry) -> Met:
        """Remember an element by its first eight bytes."""
        length = UNDEFINED if entry.length_at == HEAD else entry.length_of(head, entry.length_at)[0]
        size = -1 if length == UNDEFINED else entry.value_at + length
        met = Met(size, entry.code, entry.tag, entry.vr, entry.rule, entry.value_at, entry)
        if len(self.met) >= MAX_KEYS:
            self.met.clear()
        self.met[head] = met
        return met

    def _fixed(self, tag: int, vr: str, rule: str) -> bytes | None:
        element = self.encoding.element
        if rule == rules.EMPTY and vr != "SQ":
            return element(tag, vr, b"")
        if rule == rules.DUMMY and vr in DUMMIES and tag not in _OWN_DUMMIES:
            return element(tag, vr, dummy(tag, vr, self.encoding))
        return None

    def _code(self, tag: int, vr: str, rule: str) -> int:
        if tag in PIXELS:
            return PIXEL_DATA
        if tag >> 16 & 1:
            return PRIVATE if self.profile.keeps_safe_private else REMOVE
        if rule == rules.REMOVE and (vr == "SQ" or names_somebody(tag, vr)):
            return CHANGE
        return _CODES.get(rule, CHANGE)


Table = tuple[Kinds, dict[bytes, bytes], set[tuple[int, bool, bytes]]]
"""The kinds of an encoding, and what the frames of this file repeat: short elements with what has taken their place
(b"": they stay), and sequences in which nothing changes, or of which nothing stays, with their depth and whether they
are dropped."""


def as_safe(entry: Entry, listed: str, encoding: Encoding) -> Entry:
    """Treat a safe private attribute by its VR; a text coded as bytes, or a date in place of one, is not what is safe."""
    every = (listed or "LO").split("/")
    vr = entry.vr if encoding.explicit and entry.vr not in ("UN", "") else every[0]
    if vr not in every and (vr in _NEVER_SAFE or (listed and _is_bytes(vr) and not _is_bytes(every[0]))):
        return entry._replace(code=REMOVE, vr=vr, rule=rules.REMOVE)
    if vr == "SQ":
        return entry._replace(code=ITEMS, vr=vr, rule=rules.CLEAN_ITEMS)
    if vr in rules.TEXT_VRS or vr in rules.NUMBER_VRS:
        return entry._replace(code=CHANGE, vr=vr, rule=rules.HOLD)
    if vr == "UI":
        return entry._replace(code=CHANGE, vr=vr, rule=rules.MAP_UID)
    return entry._replace(code=PASS, vr=vr, rule=rules.PASS)


def _is_bytes(vr: str) -> bool:
    """Whether nobody reads what is coded so."""
    return vr not in rules.STRING_VRS and vr != "SQ"


@lru_cache(maxsize=64)
def kinds(profile: Profile, encoding: Encoding) -> Kinds:
    """Share what is learned between the files of a profile."""
    return Kinds(profile, encoding)
