"""What replaces a value: dummies, shifted dates, capped ages. Pure functions over text and bytes."""

from __future__ import annotations

import re
from datetime import date, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from stream_processors.deidentification.codes import ALLOWED
from stream_processors.deidentification.encoding import Encoding

REMOVED: Final = "REMOVED"
"""The dummy of text VRs; 7 characters, so valid in CS, SH and AE (16) too."""

OLDEST_AGE: Final = "090Y"
"""Every age over 89 years: 90 or older (45 CFR 164.514(b)(2)(i)(C) asks for one category of these)."""

DUMMY_DATE: Final = "19000101"

DUMMIES: Final = MappingProxyType(
    {
        **dict.fromkeys(("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT"), REMOVED),
        **dict.fromkeys(("OB", "OD", "OF", "OL", "OV", "OW", "UN"), b"\0\0\0\0\0\0\0\0"),
        **dict.fromkeys(("FD", "FL", "SL", "SS", "SV", "UL", "US", "UV", "AT"), 0),
        "AS": "000Y",
        "DA": DUMMY_DATE,
        "DS": "0",
        "DT": DUMMY_DATE,
        "IS": "0",
        "TM": "000000",
        "UR": "urn:removed",
    }
)
"""Valid values that stand for "there was one" (PS3.15 §E.3.1: non-zero length, consistent with the VR)."""

ENCAPSULATED_DOCUMENT: Final = 0x00420011

_AGE = re.compile(r"(\d{3})([DWMY])")
_NUMBER = re.compile(r"[ 0-9+\-.eE\\]*")
_DATE = re.compile(r"(\d{4})(\d\d)(\d\d)")
_ACR_NEMA_DATE = re.compile(r"(\d{4})\.(\d\d)\.(\d\d)")

_CODE_SEQUENCES: Final = frozenset({0x00080082, 0x00401101, 0x0040A088})
"""Institution Code, Person Identification Code and Verifying Observer Identification Code Sequence."""


def dummy(tag: int, vr: str, encoding: Encoding) -> bytes:
    """Give the coded dummy of a VR; for a sequence one item, so that a Type 1 sequence stays valid.

    Sequences of codes get a code that says that the value was removed, others an item without attributes.
    """
    if vr == "SQ":
        return encoding.item(_removed_code(encoding) if tag in _CODE_SEQUENCES else b"")
    value = DUMMIES[vr]
    if isinstance(value, bytes):
        return value
    return encoding.number(vr, value) if isinstance(value, int) else str(value).encode("ascii")


def _removed_code(encoding: Encoding) -> bytes:
    return (
        encoding.element(0x00080100, "SH", b"REMOVED")
        + encoding.element(0x00080102, "SH", b"99RADSTREAM")
        + encoding.element(0x00080104, "LO", b"Removed")
    )


@lru_cache(maxsize=256)
def shift_date(text: str, days: int) -> str:
    """Shift a DA or DT value by whole days; "" when it holds no full date.

    The time of day of a DT is dropped, as that of a TM is: a time to the second, beside the time at which
    the study was read, points at one person.
    """
    found = _DATE.match(text.strip(" \0")) or _ACR_NEMA_DATE.fullmatch(text.strip(" \0"))
    if not found:
        return ""
    try:
        shifted = date(*(int(part) for part in found.groups())) + timedelta(days=days)
    except (ValueError, OverflowError):
        return ""
    return f"{shifted:%Y%m%d}" if shifted.year >= 1000 else ""


def original_date(text: str) -> str:
    """Give the eight digits of the date in a DA or DT value; "" when it holds none."""
    return shift_date(text, 0)


def age_in_years(text: str) -> float | None:
    """Read an AS value (PS3.5 §6.2) as years; None when it is none."""
    found = _AGE.fullmatch(text.strip(" \0"))
    if not found:
        return None
    return int(found[1]) / {"D": 365.25, "W": 52.18, "M": 12.0, "Y": 1.0}[found[2]]


def capped_age(text: str) -> str:
    """Keep an age, over 89 years as `090Y`; "" for what is no age."""
    years = age_in_years(text)
    if years is None:
        return ""
    return OLDEST_AGE if years >= 90 else text.strip(" \0")


def kept(tag: int, vr: str, text: str) -> str:
    """Give what may stay of a value that an option keeps: ages capped, codes of the standard, numbers."""
    if vr == "AS":
        return capped_age(text)
    if tag in ALLOWED:
        return text if text in ALLOWED[tag] else ""
    return text if vr in ("DS", "IS", "US") and is_number(text) else ""


def is_number(text: str) -> bool:
    """Whether a DS or IS value holds nothing but numbers: the VR alone does not keep text out."""
    return bool(_NUMBER.fullmatch(text.strip("\0")))
