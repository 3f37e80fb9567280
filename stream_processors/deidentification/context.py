"""The few coded facts of an image that routing may know. Whatever is on no list is "unknown"."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Final

from stream_processors.deidentification.codes import BODY_PARTS, MODALITIES, PHOTOMETRIC, VIEWS
from stream_processors.deidentification.encoding import Encoding
from stream_processors.deidentification.facts import Facts
from stream_processors.deidentification.values import age_in_years, original_date

UNKNOWN: Final = "unknown"

SYNTHETIC_MANUFACTURER: Final = "Radstream synthetic"
"""Manufacturer (0008,0070) of every image that this project generates.

It is no attribute of Table E.1-1 and thus survives de-identification. Whoever writes it onto a real image
only has its results marked as synthetic.
"""

ADULT_AGE: Final = 18
"""years."""

PRIORITIES: Final = {
    "STAT": "stat",
    "HIGH": "stat",
    "ROUTINE": "routine",
    "MEDIUM": "routine",
    "LOW": "routine",
}
"""Requested Procedure Priority (0040,1003) (PS3.3 §C.4.11) and the words of its neighbours."""


_READ: Final = (
    0x00080005, 0x00080016, 0x00080020, 0x00080060, 0x00080070, 0x00100030, 0x00100040, 0x00101010, 0x00180015,
    0x00185101, 0x00280004, 0x00280008, 0x00280010, 0x00280011, 0x00400275, 0x00401003,
)  # fmt: skip
"""All that a context rests on."""


@dataclass(frozen=True, slots=True)
class Context:
    """Coded, allow-listed; no date, no text, nothing of a person but an age band and a sex."""

    modality: str
    body_part: str
    view_position: str
    age_band: str
    """`child` under 18 years, `adult`, or `unknown`."""
    patient_sex: str
    """`F`, `M`, `O` or `unknown`."""
    rows: int
    columns: int
    number_of_frames: int
    photometric_interpretation: str
    """Empty where there are no pixels or the value is on no list."""
    transfer_syntax_uid: str
    """Of the output."""
    sop_class_uid: str
    synthetic: bool
    requested_priority: str
    """`stat`, `routine` or `unknown`."""


def read_context(facts: Facts, transfer_syntax_uid: str) -> Context:
    """Read the context off the source, before its dates are shifted and its priority goes."""
    get = facts.values.get
    return _context(tuple([get(tag, b"") for tag in _READ]), facts.encoding, transfer_syntax_uid)


@lru_cache(maxsize=256)
def _context(values: tuple[bytes, ...], encoding: Encoding, transfer_syntax_uid: str) -> Context:
    """Shared between the slices of a series."""
    facts = Facts({tag: value for tag, value in zip(_READ, values, strict=True) if value}, encoding, [], [])
    return Context(
        modality=_listed(facts, 0x00080060, MODALITIES),
        body_part=_listed(facts, 0x00180015, BODY_PARTS),
        view_position=_listed(facts, 0x00185101, VIEWS),
        age_band=age_band(facts),
        patient_sex=_listed(facts, 0x00100040, frozenset({"F", "M", "O"})),
        rows=facts.count(0x00280010, 0),
        columns=facts.count(0x00280011, 0),
        number_of_frames=facts.count(0x00280008, 1),
        photometric_interpretation=_listed(facts, 0x00280004, PHOTOMETRIC, ""),
        transfer_syntax_uid=transfer_syntax_uid,
        sop_class_uid=facts.text(0x00080016),
        synthetic=facts.text(0x00080070) == SYNTHETIC_MANUFACTURER,
        requested_priority=requested_priority(facts),
    )


def age_band(facts: Facts) -> str:
    """Band Patient's Age, else the time from birth to study; a contradiction or nothing is `unknown`."""
    stated = age_in_years(facts.text(0x00101010))
    born, studied = (original_date(facts.text(tag)) for tag in (0x00100030, 0x00080020))
    reckoned = None
    if born and studied:
        reckoned = (date.fromisoformat(studied) - date.fromisoformat(born)).days / 365.25
    ages = [age for age in (stated, reckoned) if age is not None and 0 <= age < 150]
    bands = {"child" if age < ADULT_AGE else "adult" for age in ages}
    return bands.pop() if len(bands) == 1 else UNKNOWN


def requested_priority(facts: Facts) -> str:
    """Read the ordered priority, at top level or in Request Attributes Sequence."""
    found = {PRIORITIES.get(text.upper(), UNKNOWN) for text in facts.priorities()}
    return "stat" if "stat" in found else "routine" if "routine" in found else UNKNOWN


def _listed(facts: Facts, tag: int, allowed: frozenset[str], other: str = UNKNOWN) -> str:
    text = facts.text(tag).upper()
    return text if text in allowed else other
