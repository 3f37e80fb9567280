"""A profile is a choice of option columns; from it follows the action for each attribute."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from stream_processors.deidentification.table import (
    BASIC,
    CLEAN_DESCRIPTORS,
    CLEAN_PIXELS,
    DEFACING,
    MEANINGS,
    MODIFIED_DATES,
    PATIENT_CHARACTERISTICS,
    RETAIN_UIDS,
    SAFE_PRIVATE,
    Row,
    basic_action,
    load_table,
    resolve,
)

EDITION: Final = "2024b"
"""Edition of the table, written into (0012,0063) of every output; a test holds it to the data."""

METHOD: Final = f"Radstream, PS3.15 Table E.1-1 {EDITION}"
"""(0012,0063), LO: what was done, with the edition of the table."""

IMPLEMENTATION_VERSION: Final = "RADSTREAM"
"""(0002,0013)."""

OWN_WORDS: Final = frozenset(" ".join((METHOD, *MEANINGS.values())).replace(",", "").lower().split())
"""Words that every output holds: a patient who bears one of them as a name is not found by it."""

CURVE_GROUPS: Final = 0x5000
OVERLAY_GROUPS: Final = 0x6000


@dataclass(frozen=True, eq=False)
class Profile:
    """The Basic Profile with some options.

    Parameters
    ----------
    options
        CID 7050 codes beside 113100.
    rows
        The table; given only to try rows of a coming edition.

    Raises
    ------
    ValueError
        For an option that the engine does not carry out; a label must never promise more than was done.
    """

    options: frozenset[str]
    rows: tuple[Row, ...] = field(default=load_table()[1], repr=False, compare=False)
    actions: MappingProxyType[int, str] = field(init=False, repr=False, compare=False)
    basics: MappingProxyType[int, str] = field(init=False, repr=False, compare=False)
    patterns: tuple[tuple[Row, str], ...] = field(init=False, repr=False, compare=False)
    fingerprint: int = field(init=False, repr=False, compare=False)
    """The hash, which is asked for at every item of every sequence."""
    listed: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", self.options - {BASIC})
        if DEFACING in self.options:
            raise ValueError(f"{DEFACING} (Clean Recognizable Visual Features: defacing) is not offered yet")
        unknown = self.options - MEANINGS.keys()
        if unknown:
            raise ValueError(f"options not offered: {', '.join(sorted(unknown))}")
        plain = [row for row in self.rows if not row.is_pattern]
        actions = {int(row.tag, 16): resolve(row, self.options) for row in plain}
        basics = {int(row.tag, 16): basic_action(row) for row in plain}
        patterns = tuple((row, resolve(row, self.options)) for row in self.rows if row.is_pattern)
        object.__setattr__(self, "actions", MappingProxyType(actions))
        object.__setattr__(self, "basics", MappingProxyType(basics))
        object.__setattr__(self, "patterns", patterns)
        object.__setattr__(self, "fingerprint", hash(self.options))
        object.__setattr__(self, "listed", tuple(sorted({BASIC} | self.options - {CLEAN_PIXELS})))

    def __reduce__(self) -> tuple[object, ...]:
        """Cross a process boundary; mapping proxies, and thus rows of one's own, cannot."""
        if self.rows is not load_table()[1]:
            raise TypeError("a profile with rows of its own stays in its process")
        return Profile, (self.options,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Profile) and self.options == other.options and self.rows is other.rows

    def __hash__(self) -> int:
        return self.fingerprint

    @property
    def codes(self) -> tuple[str, ...]:
        """The CID 7050 codes of what is done, for (0012,0064); of pixels it is said where it is done."""
        return self.listed

    @property
    def shifts_dates(self) -> bool:
        """Whether dates are shifted; else they go."""
        return MODIFIED_DATES in self.options

    @property
    def keeps_uids(self) -> bool:
        """Whether UIDs stay as they are."""
        return RETAIN_UIDS in self.options

    @property
    def keeps_safe_private(self) -> bool:
        """Whether private attributes known to be safe stay."""
        return SAFE_PRIVATE in self.options

    @property
    def cleans_descriptors(self) -> bool:
        """Whether free text is cleaned; else it goes."""
        return CLEAN_DESCRIPTORS in self.options

    def action(self, tag: int) -> str:
        """Give the action for a tag, "" where the table says nothing of it.

        The repeating groups of curves (50xx) and overlays (60xx) go whole: once their data is removed
        (the table's rows), a label or a description of nothing is only a place for text. Private attributes
        go; those known to be safe are told apart by their creator, which a tag does not tell.
        """
        group = tag >> 16
        if group & 1 or group & 0xFF00 in (CURVE_GROUPS, OVERLAY_GROUPS):
            return "X"
        found = self.actions.get(tag)
        if found is None:
            found = next((action for row, action in self.patterns if row.matches(tag)), "")
        return found

    def basic(self, tag: int) -> str:
        """Give the action of the Basic Profile alone: what is done where an option's does not fit the VR."""
        return self.basics.get(tag, "X")


DEFAULT: Final = Profile(frozenset({MODIFIED_DATES, PATIENT_CHARACTERISTICS, CLEAN_DESCRIPTORS}))
"""For AI: intervals and the patient's age, sex and size survive, and of free text what is no identity."""
