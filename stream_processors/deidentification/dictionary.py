"""What PS3.6 says of a tag and PS3.6 Annex A of a UID; the only use that the engine makes of pydicom."""

from __future__ import annotations

from functools import lru_cache
from types import MappingProxyType
from typing import Final

from pydicom._uid_dict import UID_dictionary
from pydicom.charset import python_encoding
from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_for_tag

LONG_VRS: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})
"""VRs with two reserved bytes and a 32-bit length (PS3.5 §7.1.2)."""

SHORT_VRS: Final = frozenset(
    {
        "AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "PN", "SH", "SL", "SS",
        "ST", "TM", "UI", "UL", "US",
    }
)  # fmt: skip

_AMBIGUOUS: Final = MappingProxyType({"OB or OW": "OW", "US or SS or OW": "US", "US or OW": "US"})


@lru_cache(maxsize=8192)
def vr_of(tag: int) -> str:
    """Give the VR of a public attribute (of several, the one that fits all uses), "" for an unknown tag."""
    if not dictionary_has_tag(tag):
        return ""
    vr = dictionary_VR(tag)
    vr = _AMBIGUOUS.get(vr, vr.split(" or ")[0])
    return vr if vr in LONG_VRS or vr in SHORT_VRS else "UN"


def every_vr_of(tag: int) -> str:
    """Give the dictionary's VR as it stands there ("US or SS"), "" for an unknown tag."""
    return dictionary_VR(tag) if dictionary_has_tag(tag) else ""


def keyword_of(tag: int) -> str:
    """Give the keyword of a public attribute, "" for an unknown tag."""
    return keyword_for_tag(tag)


def registered_type(uid: str) -> str:
    """Give what PS3.6 Annex A registers a UID as ("Transfer Syntax", "SOP Class", ...), "" for any other."""
    return UID_dictionary[uid][1] if uid in UID_dictionary else ""


def decoded(value: bytes, character_set: bytes) -> str:
    """Decode text by the first usable term of Specific Character Set (PS3.3 §C.12.1.1.2), else as Latin-1."""
    if value.isascii():
        return value.decode("ascii")
    for term in reversed(character_set.decode("latin-1").split("\\")):
        name = python_encoding.get(term.strip(" \0"), "")
        if name:
            try:
                return value.decode(name)
            except (UnicodeDecodeError, LookupError):
                continue
    return value.decode("latin-1")
