"""What one element becomes: pure decisions over the bytes of its value."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any, Final

from schemas.identifiers import Pseudonyms, is_placeholder_patient_id
from stream_processors.deidentification import rules
from stream_processors.deidentification.descriptors import cleaned, is_harmless
from stream_processors.deidentification.dictionary import decoded, registered_type
from stream_processors.deidentification.encoding import Encoding
from stream_processors.deidentification.identity import is_instance_uid, matcher
from stream_processors.deidentification.profile import Profile
from stream_processors.deidentification.runs import Done
from stream_processors.deidentification.values import (
    ENCAPSULATED_DOCUMENT,
    capped_age,
    dummy,
    is_number,
    kept,
    shift_date,
)

PATIENT_ID = 0x00100020

MIN_NUMBER: Final = 6
"""digits; a patient with the id 0001 shares it with many an instance's number."""

MAX_KNOWN: Final = 2048
"""Decisions remembered for a patient, and the bytes of the longest value among them."""
MAX_KNOWN_BYTES: Final = 128
MOST_TEXT_BYTES: Final = 1 << 20
"""bytes of a text that is read for its words; of a longer one, which nobody wrote, nothing stays."""
_READ_AS_TEXT: Final = frozenset({rules.CLEAN, rules.SCRUB, rules.MODEL, rules.CODE, rules.HOLD})
MAX_WORDS: Final = 16
"""Sets of words remembered for a patient: names are written in more than one way."""


@dataclass
class Replacing:
    """Decides for one file: whose names, which shift, and what is known of the patient."""

    pseudonyms: Pseudonyms
    profile: Profile
    patient: str
    """The patient's key."""
    issuer: str
    character_set: bytes
    pattern: re.Pattern[str] | None = None
    """Words of the patient, once a first walk has found any of them in a text that stays."""
    known: dict[tuple[int, str, bytes, Encoding], bytes | None] = field(default_factory=dict, repr=False)
    """What was decided before for this patient: the slices of a series repeat each other."""

    uids: dict[str, str] = field(default_factory=dict, repr=False)
    runs: dict[tuple[Encoding, bytes], Done] = field(default_factory=dict, repr=False)
    """What became of whole runs of elements (see `runs`) in which a name, an id or a date stands."""
    anybodys: dict[tuple[Encoding, bytes], Done] = field(default_factory=dict, repr=False)
    """What becomes of runs in which nothing depends on whose they are: one memory for all patients of a key and profile."""
    personal: set[tuple[Encoding, bytes]] = field(default_factory=set, repr=False)
    """Runs that were found to depend on whose they are; known to all patients as `anybodys` is."""
    once: set[tuple[Encoding, bytes]] = field(default_factory=set, repr=False)
    """Of those, what this patient's files had."""
    with_words: dict[frozenset[str], Replacing] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.days = self.pseudonyms.date_shift_days(self.patient)
        self.by_rule: dict[str, Callable[[int, str, str], str]] = {
            rules.NEW_UID: lambda _tag, _vr, text: self.uid(text),
            rules.MAP_UID: lambda tag, _vr, text: self.uid(text) if is_instance_uid(tag, text) else text,
            rules.SHIFT: lambda _tag, _vr, text: shift_date(text, self.days),
            rules.KEEP: kept,
            rules.AGE: lambda _tag, _vr, text: capped_age(text),
            rules.NUMBER: lambda _tag, _vr, text: "" if self._numbers(text) or not is_number(text) else text,
            rules.SCRUB: lambda _tag, vr, text: text if self._harmless(text, vr) else "",
            rules.MODEL: lambda _tag, _vr, text: text if self._is_model(text) else "",
            rules.CODE: lambda _tag, _vr, text: "" if self._names(text) or not _is_code(text) else text,
            rules.HOLD: lambda _tag, _vr, text: "" if self._names(text) else text,
        }

    @cached_property
    def of_another(self) -> Replacing:
        """Decisions for somebody of whom nothing is the same: what comes out alike does not depend on the patient."""
        another = self._afresh(patient="", issuer=f"not {self.issuer}", character_set=b"")
        another.days = self.days + 1
        return another

    def remember(self, encoding: Encoding, run: bytes, done: Done, *, is_anybodys: bool) -> None:
        """Remember what became of a run: for everybody where no patient has a part in it, else for the patient."""
        memory = self.anybodys if is_anybodys else self.runs
        if len(memory) >= MAX_KNOWN:
            memory.clear()
        memory[encoding, run] = done
        if not is_anybodys:
            _add(self.personal, (encoding, run))

    def is_first(self, key: tuple[Encoding, bytes]) -> bool:
        """Whether a run that names somebody is met with this patient for the first time: it may be the last, too."""
        if key not in self.personal or key in self.once:
            return False
        _add(self.once, key)
        return True

    def seeking(self, words: frozenset[str]) -> Replacing:
        """Give the same decisions for a patient whose words stand in texts."""
        if words not in self.with_words:
            if len(self.with_words) >= MAX_WORDS:
                self.with_words.clear()
            self.with_words[words] = self._afresh(pattern=matcher(words))
        return self.with_words[words]

    def _afresh(self, **changes: Any) -> Replacing:
        """Decide for somebody, or about something, else: nothing that was decided here is known there, but UIDs."""
        return replace(
            self, known={}, runs={}, anybodys={}, personal=set(), once=set(), with_words={}, **changes
        )

    def value(self, tag: int, vr: str, rule: str, value: bytes, encoding: Encoding) -> bytes | None:
        """Give the new value of an element, unpadded; None when it stays as it is."""
        if len(value) > MAX_KNOWN_BYTES:
            return self._value(tag, vr, rule, value, encoding)
        key = (tag, vr, value, encoding)
        if key not in self.known:
            if len(self.known) >= MAX_KNOWN:
                self.known.clear()
            self.known[key] = self._value(tag, vr, rule, value, encoding)
        return self.known[key]

    def _value(self, tag: int, vr: str, rule: str, value: bytes, encoding: Encoding) -> bytes | None:
        if len(value) > MOST_TEXT_BYTES and rule in _READ_AS_TEXT:
            return b"REMOVED" if rule == rules.CLEAN and self.profile.basic(tag) == "D" else b""
        if rule == rules.EMPTY:
            return b"" if value else None
        if rule == rules.DUMMY and vr != "UI":
            return self._dummy(tag, vr, value, encoding)
        if rule == rules.CLEAN:
            return self._cleaned(tag, value)
        if rule == rules.DUMMY:
            rule = rules.NEW_UID
        change = self.by_rule[rule]
        text = value.decode("latin-1")
        if "\\" not in text:
            text = text.strip(" \0")
            new = change(tag, vr, text)
            return None if new == text else new.encode("latin-1")
        before = [part.strip(" \0") for part in text.split("\\")]
        after = [change(tag, vr, part) for part in before]
        if after == before:
            return None
        return "\\".join(after).encode("latin-1") if any(after) else b""

    def _cleaned(self, tag: int, value: bytes) -> bytes | None:
        before = value.decode("latin-1").rstrip(" \0")
        after = cleaned(before)
        if self.pattern is not None:
            after = " ".join(self.pattern.sub(" ", after).split()) if self._names(after) else after
        if after == before:
            return None
        if not after and self.profile.basic(tag) == "D":
            after = "REMOVED"
        return after.encode("latin-1")

    def _names(self, text: str) -> bool:
        return self.pattern is not None and self.pattern.search(text) is not None

    def _numbers(self, text: str) -> bool:
        """Whether a number is one of the patient's: long enough not to be "1" by chance."""
        return len(text) >= MIN_NUMBER and self._names(text)

    def _harmless(self, text: str, vr: str) -> bool:
        return is_harmless(text, code=vr == "CS") and not self._names(text)

    def _is_model(self, text: str) -> bool:
        return is_harmless(text, model=True) and not self._names(text)

    def uid(self, uid: str) -> str:
        """Rename a UID; registered ones stay."""
        known = self.uids.get(uid)
        if known is None:
            known = uid if not uid or registered_type(uid) else self.pseudonyms.uid(uid)
            if len(self.uids) >= MAX_KNOWN:
                self.uids.clear()
            self.uids[uid] = known
        return known

    def _dummy(self, tag: int, vr: str, value: bytes, encoding: Encoding) -> bytes:
        """Give a dummy value; for Patient ID the pseudonym, so that clean objects stay together."""
        if tag == ENCAPSULATED_DOCUMENT:
            return b""
        if tag != PATIENT_ID:
            return dummy(tag, vr, encoding)
        patient_id = decoded(value, self.character_set).strip(" \0")
        if is_placeholder_patient_id(patient_id):
            return self.pseudonyms.patient_id("", self.patient).encode("ascii")
        return self.pseudonyms.patient_id(self.issuer, patient_id).encode("ascii")


def _is_code(text: str) -> bool:
    """Whether a text can be a code or a version: what is not ASCII is a word of some language, which nothing here reads."""
    return text.isascii() and text.isprintable()


def _add(keys: set[tuple[Encoding, bytes]], key: tuple[Encoding, bytes]) -> None:
    if len(keys) >= MAX_KNOWN:
        keys.clear()
    keys.add(key)


@lru_cache(maxsize=32)
def replacing_for(
    pseudonyms: Pseudonyms, profile: Profile, issuer: str, patient_id: str, scope: str, character_set: bytes
) -> Replacing:
    """Share what was decided between the files of a patient; the outcome is the same without.

    `scope` is the UID of the study, in which a patient without an id is known.
    """
    patient = pseudonyms.patient_key_for(issuer, patient_id, scope)
    everybody = nobody(pseudonyms, profile)
    return Replacing(
        pseudonyms,
        profile,
        patient,
        issuer,
        character_set,
        anybodys=everybody.anybodys,
        personal=everybody.personal,
    )


@lru_cache(maxsize=32)
def nobody(pseudonyms: Pseudonyms, profile: Profile) -> Replacing:
    """For a walk that changes nothing, before it is known whose file it is."""
    return Replacing(pseudonyms, profile, "", "", b"")
