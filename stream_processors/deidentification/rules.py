"""What happens to one element: the table's action, or the default for what the table does not list."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from stream_processors.deidentification.codes import ALLOWED
from stream_processors.deidentification.dictionary import every_vr_of, keyword_of, vr_of
from stream_processors.deidentification.profile import Profile

TEXT_VRS: Final = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
PROSE_VRS: Final = frozenset({"LT", "ST", "UC", "UT"})
SHORT_TEXT_VRS: Final = frozenset({"CS", "LO", "SH"})
READABLE_VRS: Final = PROSE_VRS | SHORT_TEXT_VRS
"""Text that can be read and cleaned; names, nodes' titles and addresses cannot."""
NUMBER_VRS: Final = frozenset({"DS", "IS"})
STRING_VRS: Final = TEXT_VRS | NUMBER_VRS | {"AS", "DA", "DT", "TM", "UI"}
"""What is coded as characters: as bytes or as binary numbers (OB, US) nobody would read it."""

CODE_VALUES: Final = frozenset(
    {
        0x00080100,  # Code Value
        0x00080102,  # Coding Scheme Designator
        0x00080103,  # Coding Scheme Version
        0x00080119,  # Long Code Value
        0x00080120,  # URN Code Value
        0x00181019,  # Secondary Capture Device Software Versions
        0x00181020,  # Software Versions
    }
)
"""Codes and versions: long numbers are what they are made of."""

ALWAYS_REMOVED: Final = frozenset(
    {
        0x00080001,  # Length to End: a length of the source
        0x00120062,  # Patient Identity Removed: what the source claims; ours is written anew
        0x00120063,  # De-identification Method: cleaned, and written anew with ours behind it
        0x0008041B,  # Record Key, Prior Record Key: of a site's archive, as bytes
        0x0008041C,
        0x00280303,  # Longitudinal Temporal Information Modified
        0x04000500,  # Encrypted Attributes Sequence: the original, for whoever has another's key
        0x0040A074,  # Object Binary Identifier, and of a directory: in place of a UID, once on trial
        0x0040A089,
        0x00420010,  # Document Title: not in the table, and testers find names in it
    }
)

FIRST_GROUP: Final = 0x0004
"""Groups below are those of commands and file meta: none belongs in a data set."""

_VOCABULARY_UIDS: Final = frozenset(
    {
        "CodingSchemeUID", "ContextUID", "CreatorVersionUID", "MappingResourceUID",
        "ContextGroupExtensionCreatorUID",
    }
)  # fmt: skip
"""They name a vocabulary, or a version of software."""

MODEL_NAME: Final = 0x00081090

REMOVE, EMPTY, DUMMY, NEW_UID, KEEP, SHIFT = "remove", "empty", "dummy", "new-uid", "keep", "shift-date"
CLEAN_ITEMS, MAP_UID, SCRUB, CLEAN, NUMBER, AGE, PASS, CODE, HOLD, MODEL = (
    "items", "map-uid", "scrub", "clean-text", "number", "cap-age", "pass", "code", "hold", "model",
)  # fmt: skip
"""KEEP holds a patient's characteristic to its code list; HOLD keeps a text as long as it names no patient;
SCRUB empties a short text that is no vocabulary, MODEL the same for a device's name, in which several short numbers
may follow each other; CLEAN takes the words that are none out of a text."""

_BY_VR: Final = {
    **dict.fromkeys(("AE", "PN", "TM", "UR"), EMPTY),
    **dict.fromkeys(SHORT_TEXT_VRS, SCRUB),
    **dict.fromkeys(NUMBER_VRS, NUMBER),
    "AS": AGE,
    "SQ": CLEAN_ITEMS,
}
"""What the table does not list, by its VR; numbers, bytes and the like pass."""

_TABLE: Final = {"X": REMOVE, "Z": EMPTY, "D": DUMMY, "U": NEW_UID}


def rule(profile: Profile, tag: int, vr: str) -> str:
    """Decide by tag and VR alone; `vr` is the coded one, the dictionary's where none is coded.

    Group lengths, private and unknown attributes go, as does a text VR on an attribute that the dictionary
    knows as binary or number: a place where nobody looks for text. A row of the table counts even where the
    dictionary does not know its attribute yet.
    """
    if tag & 0xFFFF == 0 or tag in ALWAYS_REMOVED or tag >> 16 < FIRST_GROUP:
        return REMOVE
    action, known = profile.action(tag), every_vr_of(tag)
    if vr == "UN":
        vr = vr_of(tag)
    if action == "X" or vr in ("", "UN") or not (known or action):
        return REMOVE
    if known and vr != known and _misplaced(vr, known):
        return REMOVE
    return _by_table(profile, tag, vr, action) if action else unlisted(profile, tag, vr)


@lru_cache(maxsize=1024)
def is_vocabulary_uid(tag: int) -> bool:
    """Whether an attribute names a vocabulary or a version, and no instance."""
    return keyword_of(tag) in _VOCABULARY_UIDS


def _by_table(profile: Profile, tag: int, vr: str, action: str) -> str:
    if action == "C":
        return SHIFT if vr in ("DA", "DT") else _TABLE[profile.basic(tag)]
    if action == "T":
        if vr == "SQ":
            return CLEAN_ITEMS
        return CLEAN if vr in READABLE_VRS else _TABLE[profile.basic(tag)]
    if action == "K":
        return _kept(tag, vr)
    if vr == "SQ":
        return {"Z": EMPTY, "D": DUMMY}.get(action, CLEAN_ITEMS)
    return _TABLE[action]


def _kept(tag: int, vr: str) -> str:
    """An option keeps it: sequences are read on, texts must not name the patient, characteristics are coded."""
    if vr == "SQ":
        return CLEAN_ITEMS
    if vr == "AS" or tag in ALLOWED or (tag >> 16 == 0x0010 and vr in NUMBER_VRS):
        return KEEP
    if tag >> 16 == 0x0010 and vr in READABLE_VRS:
        return CLEAN
    return HOLD if vr in TEXT_VRS else PASS


def _misplaced(vr: str, known: str) -> bool:
    """Whether the coded VR is of another kind than the dictionary's."""
    other = (vr in TEXT_VRS) != (known in TEXT_VRS) or (known in STRING_VRS and vr not in STRING_VRS)
    return vr not in known and (vr == "SQ" or known == "SQ" or other)


def unlisted(profile: Profile, tag: int, vr: str) -> str:
    """Decide where the table says nothing: by the VR, and by a few lists of codes."""
    if tag in CODE_VALUES:
        return CODE
    if tag in ALLOWED:
        return KEEP
    if vr in ("DA", "DT"):
        return SHIFT if profile.shifts_dates else EMPTY
    if vr == "UI":
        return PASS if profile.keeps_uids else MAP_UID
    if tag == MODEL_NAME and vr in SHORT_TEXT_VRS:
        return MODEL
    if vr in PROSE_VRS:
        return CLEAN if profile.cleans_descriptors else EMPTY
    return _BY_VR.get(vr, PASS)
