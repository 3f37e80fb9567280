"""Table E.1-1 and the Safe Private Attributes of PS3.15 as data: a new edition is a change of two CSV files."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Final

from stream_processors.deidentification.dictionary import vr_of

BASIC: Final = "113100"
CLEAN_PIXELS: Final = "113101"
CLEAN_GRAPHICS: Final = "113103"
STRUCTURED_CONTENT: Final = "113104"
CLEAN_DESCRIPTORS: Final = "113105"
MODIFIED_DATES: Final = "113107"
PATIENT_CHARACTERISTICS: Final = "113108"
DEVICE_IDENTITY: Final = "113109"
RETAIN_UIDS: Final = "113110"
SAFE_PRIVATE: Final = "113111"
INSTITUTION: Final = "113112"

OPTION_MEANINGS: Final = MappingProxyType(
    {
        BASIC: "Basic Application Confidentiality Profile",
        CLEAN_GRAPHICS: "Clean Graphics Option",
        STRUCTURED_CONTENT: "Clean Structured Content Option",
        CLEAN_DESCRIPTORS: "Clean Descriptors Option",
        MODIFIED_DATES: "Retain Longitudinal Temporal Information Modified Dates Option",
        PATIENT_CHARACTERISTICS: "Retain Patient Characteristics Option",
        DEVICE_IDENTITY: "Retain Device Identity Option",
        RETAIN_UIDS: "Retain UIDs Option",
        SAFE_PRIVATE: "Retain Safe Private Option",
        INSTITUTION: "Retain Institution Identity Option",
    }
)
"""The options that the engine itself carries out, with their code meanings (PS3.16 CID 7050)."""

MEANINGS: Final = MappingProxyType({**OPTION_MEANINGS, CLEAN_PIXELS: "Clean Pixel Data Option"})
"""All that may be asked for, and that an output may say of itself: pixels are not a choice of attributes, but something
done to one file."""

DEFACING: Final = "113102"
"""Clean Recognizable Visual Features Option: the face in a head CT or MR. Named, and refused: it is not offered yet."""

CLEANING: Final = (CLEAN_DESCRIPTORS, PATIENT_CHARACTERISTICS, STRUCTURED_CONTENT, CLEAN_GRAPHICS)
"""Options whose C means: read the text, or the items, and keep what is no identity."""

PRIVATE_ROW: Final = "private"
_RIGHTMOST_IS_ALWAYS_VALID: Final = MappingProxyType({"U*": "U"})


@dataclass(frozen=True, slots=True)
class Row:
    """One row of Table E.1-1; `options` maps a CID 7050 code to K (keep) or C (clean)."""

    tag: str
    """Eight hex digits, `x` for any; or `private`."""
    keyword: str
    basic: str
    options: MappingProxyType[str, str]

    @property
    def is_pattern(self) -> bool:
        """Whether the row stands for a repeating group or for all private attributes."""
        return self.tag == PRIVATE_ROW or "x" in self.tag

    def matches(self, tag: int) -> bool:
        """Whether the row, by its pattern, speaks of a tag."""
        if self.tag == PRIVATE_ROW:
            return bool(tag >> 16 & 1)
        return re.fullmatch(self.tag.replace("x", "[0-9a-f]"), f"{tag:08x}") is not None


@cache
def load_table() -> tuple[str, tuple[Row, ...]]:
    """Read the table: its header line, which names the edition, and its rows."""
    text = files(__package__).joinpath("table_e1_1.csv").read_text("utf-8")
    return read_rows(text)


def read_rows(text: str) -> tuple[str, tuple[Row, ...]]:
    """Read a table from its text: one line of header, then CSV with the options as columns."""
    header, _, body = text.partition("\n")
    rows = []
    for line in csv.DictReader(body.splitlines()):
        options = {code: action for code, action in line.items() if code.isdigit() and action}
        rows.append(Row(line["tag"].lower(), line["keyword"], line["basic"], MappingProxyType(options)))
    return header, tuple(rows)


@cache
def safe_private() -> MappingProxyType[tuple[str, int, int], str]:
    """Give the VR of each safe private attribute by its creator, group and element within the block."""
    text = files(__package__).joinpath("safe_private.csv").read_text("utf-8").partition("\n")[2]
    rows = csv.DictReader(text.splitlines())
    return MappingProxyType(
        {(row["creator"], int(row["group"], 16), int(row["element"], 16)): row["vr"] for row in rows}
    )


def basic_action(row: Row) -> str:
    """Choose one action of a compound: the rightmost (X/Z: Z; X/D, Z/D, X/Z/D: D; X/Z/U*: U).

    The table's compounds depend on the attribute's type in its IOD (PS3.15 §E.3), and the rightmost is the
    one that keeps an object valid whatever the type, so no IOD needs to be known.
    """
    last = row.basic.rsplit("/", 1)[-1]
    return _RIGHTMOST_IS_ALWAYS_VALID.get(last, last)


def resolve(row: Row, options: frozenset[str]) -> str:
    """Choose the action of a row: X remove, Z empty, D dummy, U new UID, K keep, C shift the date, T clean.

    A time of day (TM), a time zone and the title of a node (AE) take their basic action, which also cleans.
    """
    chosen = {code: action for code, action in row.options.items() if code in options}
    vr = "" if row.is_pattern else vr_of(int(row.tag, 16))
    if chosen.get(MODIFIED_DATES) == "C" and vr in ("DA", "DT", ""):
        return "C"
    if "K" in chosen.values():
        return "K"
    if any(chosen.get(code) == "C" for code in CLEANING) and not row.is_pattern:
        return "T"
    return basic_action(row)
