"""A second, independent look at the output: it reads the bytes again and believes nothing of the engine.

It shares the table and the vocabulary with the engine, but neither its reading nor its decisions: each
element is held against what the profile asks to be there at the end, and the header's bytes are searched
for what the source said of the patient.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from pydicom.datadict import dictionary_has_tag, dictionary_VR

from stream_processors.deidentification.codes import ALLOWED
from stream_processors.deidentification.descriptors import cleaned, is_harmless
from stream_processors.deidentification.dictionary import registered_type, vr_of
from stream_processors.deidentification.identity import LOWER, Identity, is_instance_uid
from stream_processors.deidentification.profile import METHOD, Profile
from stream_processors.deidentification.refusal import RefusedError
from stream_processors.deidentification.rules import CODE_VALUES
from stream_processors.deidentification.second_reader import Element, Reading, read_again
from stream_processors.deidentification.table import MEANINGS, safe_private
from stream_processors.deidentification.values import DUMMIES, DUMMY_DATE, kept, shift_date

META_TAGS: Final = frozenset(
    {
        0x00020000, 0x00020001, 0x00020002, 0x00020003, 0x00020010, 0x00020012, 0x00020013, 0x00020100,
        0x00020102,
    }
)  # fmt: skip
"""All that a clean file meta group holds; the last two are the authenticator."""

MARKS: Final = frozenset({0x00120062, 0x00120063, 0x00120064, 0x00280303})

MIN_DISTINCTIVE: Final = 5
"""characters; a shorter word is not looked for in bytes, where it may occur by chance."""

MIN_DISTINCTIVE_DIGITS: Final = 8
"""digits; a shorter number is also a size or a position."""

_PSEUDONYM = re.compile(r"[0-9a-f]{32}")
_SHORT_TEXT = ("CS", "LO", "SH")
_PROSE = ("LT", "ST", "UC", "UT")
_GONE = (0x0008041B, 0x0008041C, 0x0040A074, 0x0040A089, 0x00420010, 0x04000500)
"""Keys and identifiers as bytes, a document's title, encrypted originals."""
_STRINGS = frozenset(("PN", "AE", "UR", "AS", "DA", "DS", "DT", "IS", "TM", "UI", *_SHORT_TEXT, *_PROSE))


@dataclass(frozen=True, slots=True)
class Expected:
    """What the output of one file may and may not hold."""

    identity: Identity
    days: int
    pixels_withheld: bool
    codes: tuple[str, ...]
    """CID 7050 codes that the output has to name."""


def verify(data: bytes, profile: Profile, expected: Expected, size: int | None = None) -> None:
    """Hold an output file against the profile and against its source.

    Parameters
    ----------
    data
        All of it; or, with its `size`, all that stands before the value of its pixels.
    size
        Bytes of the whole file; -1 where only its fragments will tell.

    Raises
    ------
    RefusedError
        verification-failed, and no more: what was found may be identity.
    """
    reading = read_again(data, size)
    _require(reading.end == (len(data) if size is None else size) and len(reading.elements) > len(MARKS))
    _require(Counter(each.tag for each in reading.meta) <= Counter(META_TAGS))
    _require(not expected.pixels_withheld or reading.pixels_at < 0)
    _require_names(reading)
    _require_marks(reading, profile, expected.codes)
    held = _require_each(reading, profile, expected)
    end = reading.pixels_at if reading.pixels_at >= 0 else len(data)
    _require_absent(data[:end], profile, expected, held)


def _require(condition: bool) -> None:
    if not condition:
        raise RefusedError("verification-failed")


def _require_names(reading: Reading) -> None:
    """Ask for one class and one instance, the same in file meta and data set: a damaged VR may have emptied them."""
    meta = {each.tag: each.value.rstrip(b" \0") for each in reading.meta}
    top = {each.tag: each.value.rstrip(b" \0") for each in reading.elements if not each.around}
    for frame, inside in ((0x00020002, 0x00080016), (0x00020003, 0x00080018)):
        _require(bool(meta.get(frame)) and meta.get(frame) == top.get(inside))


def _require_marks(reading: Reading, profile: Profile, done: tuple[str, ...]) -> None:
    top = {each.tag: each.value.rstrip(b" \0") for each in reading.elements if not each.around}
    methods = [part.strip(" \0") for part in top.get(0x00120063, b"").decode("latin-1").split("\\")]
    _require(top.get(0x00120062) == b"YES" and methods[-1] == METHOD)
    _require(all(is_harmless(method) for method in methods[:-1]))
    _require_codes(reading, done)
    _require(top.get(0x00280303) == (b"MODIFIED" if profile.shifts_dates else b"REMOVED"))


def _require_codes(reading: Reading, done: tuple[str, ...]) -> None:
    """Ask for an item for each thing that was done, behind those of earlier steps."""
    place = [each for each in reading.elements if each.tag == 0x00120064 and not each.around]
    inside = [each for each in reading.elements if each.around[:1] == (0x00120064,)]
    ours = [(each.around, each.tag, each.value.rstrip(b" \0")) for each in inside[-3 * len(done) :]]
    asked = [
        ((0x00120064,), tag, value)
        for code in done
        for tag, value in (
            (0x00080100, code.encode()),
            (0x00080102, b"DCM"),
            (0x00080104, MEANINGS[code].encode()[:64].rstrip()),
        )
    ]
    _require(len(place) == 1 and place[0].items >= len(done) and ours == asked)


def _require_each(reading: Reading, profile: Profile, expected: Expected) -> set[str]:
    """Check every element; give the dates that an option keeps as they were."""
    shifted = {shift_date(day, expected.days) for day in expected.identity.dates} | {"", DUMMY_DATE}
    held: set[str] = set()
    creators: dict[tuple[tuple[int, ...], int], str] = {}
    dummies: set[tuple[int, ...]] = set()
    held_true: set[tuple[str, int, bytes]] = set()
    for each in reading.elements:
        if not each.around and each.tag in MARKS:
            continue
        if each.around in dummies:
            continue
        if each.tag >> 16 & 1:
            _require(profile.keeps_safe_private and _private_holds(each, creators))
            continue
        state = _state(profile, each.tag, each.vr)
        if state == "dummy-sequence":
            _require(each.items == 1)
            dummies.add((*each.around, each.tag))
        elif state == "held":
            held.update(each.value.decode("latin-1").strip(" \0").split("\\"))
        elif state != "any" and (state, each.tag, each.value) not in held_true:
            _require(_holds(state, each, expected, shifted))
            held_true.add((state, each.tag, each.value))
    return held


@lru_cache(maxsize=32768)
def _state(profile: Profile, tag: int, vr: str) -> str:
    """What the profile asks an element to be in the end."""
    action, public = profile.action(tag), dictionary_has_tag(tag)
    if vr == "UN" and public:
        vr = vr_of(tag)
    nameless = tag & 0xFFFF == 0 or tag >> 16 < 4 or vr in ("", "UN") or not (public or action)
    if action == "X" or nameless or tag in (*_GONE, *MARKS - {0x00120064}):
        return "absent"
    if tag == 0x00080005 and vr != "CS":  # without it texts are read otherwise, and pydicom reads nothing
        return "absent"
    if vr == "SQ":
        return {"Z": "empty-sequence", "D": "dummy-sequence"}.get(action, "any")
    fitting = {"C": ("DA", "DT"), "T": (*_SHORT_TEXT, *_PROSE)}.get(action)
    if fitting is not None and vr not in fitting:
        action = profile.basic(tag)
    if action == "X":
        return "absent"
    named = {"Z": "empty", "T": "clean", "U": "uid", "C": "date", "D": "uid" if vr == "UI" else "dummy"}
    if action in named:
        return named[action]
    return _kept_state(tag, vr) if action == "K" else _unlisted_state(profile, tag, vr)


def _kept_state(tag: int, vr: str) -> str:
    if vr == "AS" or tag in ALLOWED or (tag >> 16 == 0x0010 and vr in ("DS", "IS")):
        return "kept"
    if tag >> 16 == 0x0010 and vr in (*_SHORT_TEXT, *_PROSE):
        return "clean"
    return "held" if vr in ("DA", "DT") else "any"


def _unlisted_state(profile: Profile, tag: int, vr: str) -> str:
    if tag in CODE_VALUES:
        return "any"
    if tag == 0x00081090 and vr in _SHORT_TEXT:
        return "model"
    if tag in ALLOWED:
        return "kept"
    dates = "date" if profile.shifts_dates else "empty"
    by_vr = {
        **dict.fromkeys(("AE", "PN", "TM", "UR"), "empty"),
        **dict.fromkeys(("DA", "DT"), dates),
        **dict.fromkeys(_SHORT_TEXT, "word"),
        **dict.fromkeys(_PROSE, "clean" if profile.cleans_descriptors else "empty"),
        **dict.fromkeys(("DS", "IS"), "number"),
        "AS": "kept",
        "UI": "any" if profile.keeps_uids else "free-uid",
    }
    if vr in by_vr:
        return by_vr[vr]
    known = dictionary_VR(tag)
    return "absent" if known in _STRINGS and vr != known else "any"


def _holds(state: str, each: Element, expected: Expected, shifted: set[str]) -> bool:
    if state in ("absent", "empty", "empty-sequence"):
        return state != "absent" and not each.value and not each.items
    if state == "number":
        return not each.value.translate(None, b"0123456789+-.eE\\ \0")
    whole = each.value.decode("latin-1").rstrip(" \0")
    texts = [part.strip(" \0") for part in whole.split("\\")]
    if state == "date":
        return all(text in shifted for text in texts)
    if state in ("uid", "free-uid"):
        return all(_uid_holds(each.tag, text, state, expected) for text in texts if text)
    if state == "kept":
        return all(not text or kept(each.tag, each.vr, text) == text for text in texts)
    if state in ("word", "model"):
        model = state == "model"
        return all(is_harmless(text, code=each.vr == "CS" and not model, model=model) for text in texts)
    if state == "clean":
        return cleaned(whole) == whole
    return _dummy_holds(each, texts)


def _dummy_holds(each: Element, texts: list[str]) -> bool:
    if each.tag == 0x00420011:
        return not each.value
    dummy = DUMMIES.get(each.vr, "")
    if not isinstance(dummy, str):
        return not any(each.value)
    return all(text == dummy or (each.tag == 0x00100020 and _PSEUDONYM.fullmatch(text)) for text in texts)


def _uid_holds(tag: int, uid: str, state: str, expected: Expected) -> bool:
    if registered_type(uid) or (state == "free-uid" and not is_instance_uid(tag, uid)):
        return True
    return uid.startswith("2.25.") and uid not in expected.identity.uids


def _private_holds(each: Element, creators: dict[tuple[tuple[int, ...], int], str]) -> bool:
    group, element = each.tag >> 16, each.tag & 0xFFFF
    if 0x10 <= element <= 0xFF:
        creator = each.value.decode("latin-1").strip(" \0")
        creators[each.around, group << 8 | element] = creator
        return any(known[0] == creator for known in safe_private())
    creator = creators.get((each.around, group << 8 | element >> 8), "")
    listed = safe_private().get((creator, group, element & 0xFF))
    return listed is not None and (
        each.vr in listed or each.vr not in ("AE", "AS", "DA", "DT", "PN", "TM", "UR")
    )


def _require_absent(header: bytes, profile: Profile, expected: Expected, held: set[str]) -> None:
    """Search the header as bytes, whatever the reader made of it."""
    identity = expected.identity
    lowered = header.translate(LOWER)
    shifted = {shift_date(day, expected.days) for day in identity.dates}
    words = {
        word
        for word in identity.sought() - identity.dates
        if len(word) >= (MIN_DISTINCTIVE_DIGITS if word.isdigit() else MIN_DISTINCTIVE)
    }
    words |= identity.dates - shifted - held - {""}
    if not profile.keeps_uids:
        words |= {uid for uid in identity.uids if len(uid) >= MIN_DISTINCTIVE_DIGITS}
    for word in words:
        _require(not _occurs(word.encode("latin-1"), lowered))


def _occurs(word: bytes, header: bytes) -> bool:
    if word not in header:
        return False
    return re.search(rb"(?<![0-9a-z.])" + re.escape(word) + rb"(?![0-9a-z.])", header) is not None
