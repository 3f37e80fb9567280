"""A second, independent look at the output: it reads the bytes again and believes nothing of the engine.

It shares the table with the engine, but not its decisions: each element is held against what the profile
asks to be there at the end, and the header's bytes are searched for what the source said of the patient.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from pydicom.datadict import dictionary_has_tag
from pydicom.dataset import Dataset

from stream_processors.deidentification.originals import Originals, is_instance_uid
from stream_processors.deidentification.profile import EDITION, Profile
from stream_processors.deidentification.reading import (
    items_of,
    parse,
    registered_type,
    text_of,
    texts_of,
    vr_of,
)
from stream_processors.deidentification.refusal import RefusedError
from stream_processors.deidentification.structure import read_layout
from stream_processors.deidentification.values import DUMMIES, dummy_sequence, kept

META_TAGS: Final = frozenset(
    {0x00020000, 0x00020001, 0x00020002, 0x00020003, 0x00020010, 0x00020012, 0x00020013}
)
"""All that a clean file meta group holds."""

SPOKEN_VRS: Final = frozenset({"DA", "DT", "LT", "PN", "ST", "TM", "UI", "UT"})
"""Held to something even where the table says nothing of an attribute; the bytes of all others are searched."""

MIN_DISTINCTIVE: Final = 5
"""characters; a shorter word is not looked for in bytes, where it may occur by chance."""

MIN_DISTINCTIVE_DIGITS: Final = 8
"""digits; a shorter number is also a size or a position."""

_UID = re.compile(rb"[0-9]+(?:\.[0-9]+)+")
_DATE = re.compile(rb"(?<![0-9.])[0-9]{8}(?![0-9])")


@dataclass(frozen=True, slots=True)
class Expected:
    """What the output of one file may and may not hold."""

    originals: Originals
    dates: frozenset[str]
    patient_ids: frozenset[str]
    pixels_withheld: bool


def verify(data: bytes, profile: Profile, expected: Expected) -> None:
    """Hold an output file against the profile and against its source.

    Raises
    ------
    RefusedError
        verification-failed, and no more: what was found may be identity.
    """
    try:
        layout = read_layout(data)
    except RefusedError:
        raise RefusedError("verification-failed") from None
    _require(layout.part10 == data and not any(data[:128]))
    output = parse(data)
    _require({int(element.tag) for element in output.file_meta} <= META_TAGS)
    _require(text_of(output, 0x00120062) == "YES" and EDITION in text_of(output, 0x00120063))
    codes = [text_of(item, 0x00080100) for item in output[0x00120064].value]
    _require(codes == list(profile.codes))
    _require(not expected.pixels_withheld or layout.pixels_at == len(data))
    _require_each(output, profile, expected, frozenset({0x00120063, 0x00120064}))
    _require_absent(data[: layout.pixels_at], expected)


def _require(condition: bool) -> None:
    if not condition:
        raise RefusedError("verification-failed")


def _require_each(data_set: Dataset, profile: Profile, expected: Expected, own: frozenset[int]) -> None:
    for tag, item in items_of(data_set):
        vr = vr_of(item)
        _require(not tag.is_private and dictionary_has_tag(tag) and vr not in ("", "UN") and tag.element != 0)
        if int(tag) in own:
            continue
        _require(_state_holds(data_set, int(tag), vr, profile.action(int(tag)), expected))
        if vr == "SQ":
            for nested in data_set[tag].value:
                _require_each(nested, profile, expected, frozenset())


def _state_holds(data_set: Dataset, tag: int, vr: str, action: str, expected: Expected) -> bool:
    """Whether an element is what its action leaves behind; an absent element always is."""
    if action == "X":
        return False
    if vr == "SQ":
        return _sequence_holds(data_set, tag, action)
    if not action and vr not in SPOKEN_VRS:
        return True
    texts = [text for text in texts_of(data_set, tag) if text]
    if vr in ("DA", "DT"):
        return all(text in expected.dates or text == DUMMIES["DA"] for text in texts)
    if vr == "UI":
        return all(_uid_holds(tag, text, action, expected) for text in texts)
    if action == "D":
        return all(text in (_dummy_text(vr), *expected.patient_ids) for text in texts)
    if action == "K":
        return all(kept(tag, vr, text) == text for text in texts)
    return not texts


def _sequence_holds(data_set: Dataset, tag: int, action: str) -> bool:
    items = data_set[tag].value
    return not items if action == "Z" else action != "D" or items == dummy_sequence(tag)


def _dummy_text(vr: str) -> str:
    dummy = DUMMIES.get(vr, "")
    return dummy.decode("latin-1") if isinstance(dummy, bytes) else str(dummy)


def _uid_holds(tag: int, uid: str, action: str, expected: Expected) -> bool:
    if registered_type(uid) or (not action and not is_instance_uid(tag, uid)):
        return True
    return uid.startswith("2.25.") and uid not in expected.originals.uids


def _require_absent(header: bytes, expected: Expected) -> None:
    """Search the header as bytes, whatever the parser made of it."""
    originals = expected.originals
    uids = {found.decode("ascii") for found in _UID.findall(header)}
    _require(not uids & originals.uids)
    dates = {found.decode("ascii") for found in _DATE.findall(header)}
    _require(not dates & (originals.dates - expected.dates))
    lowered = header.lower()
    for word in originals.words:
        if len(word) >= (MIN_DISTINCTIVE_DIGITS if word.isdigit() else MIN_DISTINCTIVE):
            _require(not _occurs(word.encode("utf-8"), lowered))


def _occurs(word: bytes, header: bytes) -> bool:
    return re.search(rb"(?<![0-9a-z.])" + re.escape(word) + rb"(?![0-9a-z.])", header) is not None
