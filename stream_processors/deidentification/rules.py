"""What happens to one element: the table's action, or the default for what the table does not list."""

from __future__ import annotations

from typing import Final

from pydicom.datadict import dictionary_has_tag, dictionary_VR

from stream_processors.deidentification.codes import ALLOWED
from stream_processors.deidentification.profile import Profile

TEXT_VRS: Final = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
FREE_TEXT_VRS: Final = frozenset({"AE", "LT", "PN", "ST", "TM", "UC", "UR", "UT"})
"""Emptied where the table says nothing: prose, names, addresses of nodes and times of day."""

SHORT_TEXT_VRS: Final = frozenset({"CS", "LO", "SH"})
NUMBER_VRS: Final = frozenset({"DS", "IS"})

CODED_LONG_TEXT: Final = frozenset({0x00080119, 0x00080120})
"""Long Code Value and URN Code Value: codes by definition, kept."""

ALWAYS_REMOVED: Final = frozenset(
    {
        0x00080001,  # Length to End: a length of the source
        0x00120062,  # Patient Identity Removed: what the source claims; ours is written anew
        0x00120063,  # De-identification Method
        0x00120064,  # De-identification Method Code Sequence
        0x00280303,  # Longitudinal Temporal Information Modified
        0x00420010,  # Document Title: not in the table, and testers find names in it
    }
)

REMOVE, EMPTY, DUMMY, NEW_UID, KEEP, SHIFT = "X", "Z", "D", "U", "K", "C"
CLEAN_ITEMS, MAP_UID, SCRUB, NUMBER, PASS = "items", "map-uid", "scrub", "number", "pass"


def rule(profile: Profile, tag: int, vr: str) -> str:
    """Decide by tag and VR alone.

    Group lengths, private and unknown attributes go, as does a text VR on an attribute that the dictionary
    knows as binary or number: a place where nobody looks for text.
    """
    if tag & 0xFFFF == 0 or tag in ALWAYS_REMOVED:
        return REMOVE
    action = profile.action(tag)
    if action == REMOVE or not dictionary_has_tag(tag) or vr in ("", "UN"):
        return REMOVE
    known = dictionary_VR(tag)
    if vr != known and _misplaced(vr, known):
        return REMOVE
    if action == SHIFT:
        return SHIFT
    if vr == "SQ":
        return action if action in (EMPTY, DUMMY) else CLEAN_ITEMS
    return action or _default(tag, vr)


def _misplaced(vr: str, known: str) -> bool:
    """Whether the coded VR is of another kind than the dictionary's."""
    return vr not in known and (vr == "SQ" or known == "SQ" or (vr in TEXT_VRS) != (known in TEXT_VRS))


def _default(tag: int, vr: str) -> str:
    if vr in FREE_TEXT_VRS and tag not in CODED_LONG_TEXT:
        return EMPTY
    if vr in ("DA", "DT"):
        return SHIFT
    if vr == "UI":
        return MAP_UID
    if vr in SHORT_TEXT_VRS:
        return KEEP if tag in ALLOWED else SCRUB
    return NUMBER if vr in NUMBER_VRS else PASS
