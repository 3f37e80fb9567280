"""Table E.1-1 of PS3.15 as data, and the action that a choice of options gives each attribute."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from importlib.resources import files
from types import MappingProxyType
from typing import Final

from pydicom.datadict import dictionary_VR

EDITION: Final = "2024b"
"""Edition of the table, written into (0012,0063) of every output; a test holds it to the data."""

BASIC: Final = "113100"
MODIFIED_DATES: Final = "113107"
PATIENT_CHARACTERISTICS: Final = "113108"

OPTION_MEANINGS: Final = MappingProxyType(
    {
        BASIC: "Basic Application Confidentiality Profile",
        MODIFIED_DATES: "Retain Longitudinal Temporal Information Modified Dates Option",
        PATIENT_CHARACTERISTICS: "Retain Patient Characteristics Option",
    }
)
"""The options that the engine can truly carry out, with their code meanings (PS3.16 CID 7050)."""

METHOD: Final = f"Radstream, PS3.15 Table E.1-1 {EDITION}"
"""(0012,0063), LO: what was done, with the edition of the table."""

IMPLEMENTATION_VERSION: Final = "RADSTREAM"
"""(0002,0013)."""

OWN_WORDS: Final = frozenset(" ".join((METHOD, *OPTION_MEANINGS.values())).replace(",", "").lower().split())
"""Words that every output holds: a patient who bears one of them as a name is not found by it."""

_RIGHTMOST_IS_ALWAYS_VALID: Final = MappingProxyType({"U*": "U"})

PRIVATE_ROW: Final = "private"
CURVE_GROUPS: Final = 0x5000
OVERLAY_GROUPS: Final = 0x6000


@dataclass(frozen=True, slots=True)
class Row:
    """One row of Table E.1-1; `options` maps a CID 7050 code to K (keep) or C (clean)."""

    tag: str
    keyword: str
    basic: str
    options: MappingProxyType[str, str]


def load_table() -> tuple[str, tuple[Row, ...]]:
    """Read the table: its header line, which names the edition, and its rows."""
    text = files(__package__).joinpath("table_e1_1.csv").read_text("utf-8")
    header, _, body = text.partition("\n")
    rows = []
    for line in csv.DictReader(body.splitlines()):
        options = {code: action for code, action in line.items() if code.isdigit() and action}
        rows.append(Row(line["tag"], line["keyword"], line["basic"], MappingProxyType(options)))
    return header, tuple(rows)


def resolve(row: Row, options: frozenset[str]) -> str:
    """Choose the one action of a row: X remove, Z empty, D dummy, U new UID, K keep, C shift the date.

    Of a compound action the rightmost is taken (X/Z: Z; X/D, Z/D, X/Z/D: D; X/Z/U*: U). The table's
    compounds depend on the attribute's type in its IOD (PS3.15 §E.3), and the rightmost is the one that
    keeps an object valid whatever the type, so no IOD needs to be known. Of the options only what can be
    done without reading free text counts: K, and C for dates. A time of day (TM) and a time zone take their
    basic action.
    """
    chosen = {code: action for code, action in row.options.items() if code in options}
    if "K" in chosen.values():
        return "K"
    if chosen.get(MODIFIED_DATES) == "C" and dictionary_VR(int(row.tag, 16)) in ("DA", "DT"):
        return "C"
    last = row.basic.rsplit("/", 1)[-1]
    return _RIGHTMOST_IS_ALWAYS_VALID.get(last, last)


@dataclass(frozen=True)
class Profile:
    """The Basic Profile with some options.

    Parameters
    ----------
    options
        CID 7050 codes beside 113100.

    Raises
    ------
    ValueError
        For an option that the engine does not carry out; a label must never promise more than was done.
    """

    options: frozenset[str]
    actions: MappingProxyType[int, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        unknown = self.options - OPTION_MEANINGS.keys()
        if unknown:
            raise ValueError(f"options not offered: {', '.join(sorted(unknown))}")
        plain = {int(row.tag, 16): resolve(row, self.options) for row in _ROWS if _is_plain(row)}
        object.__setattr__(self, "actions", MappingProxyType(plain))

    @property
    def codes(self) -> tuple[str, ...]:
        """The CID 7050 codes of what is done, for (0012,0064)."""
        return tuple(sorted({BASIC} | self.options))

    def action(self, tag: int) -> str:
        """Give the action for a tag, "" where the table says nothing of it.

        The repeating groups of curves (50xx) and overlays (60xx) go whole: once their data is removed
        (the table's rows), a label or a description of nothing is only a place for text.
        """
        group = tag >> 16
        if group & 1 or group & 0xFF00 in (CURVE_GROUPS, OVERLAY_GROUPS):
            return "X"
        return self.actions.get(tag, "")


def _is_plain(row: Row) -> bool:
    return row.tag != PRIVATE_ROW and "x" not in row.tag


_ROWS: Final = load_table()[1]

DEFAULT: Final = Profile(frozenset({MODIFIED_DATES, PATIENT_CHARACTERISTICS}))
"""For AI: intervals and the patient's age, sex and size survive, all free text goes."""
