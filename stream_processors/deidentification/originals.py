"""What the source says about a person, collected before anything is changed, to be looked for afterwards."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset

from schemas.identifiers import is_placeholder_patient_id
from stream_processors.deidentification.codes import CODE_WORDS
from stream_processors.deidentification.profile import OWN_WORDS
from stream_processors.deidentification.reading import items_of, registered_type, texts_of, vr_of
from stream_processors.deidentification.refusal import RefusedError
from stream_processors.deidentification.structure import MAX_DEPTH
from stream_processors.deidentification.values import REMOVED, original_date

IDENTITY_TAGS: Final = frozenset(
    {
        0x00080050,  # Accession Number
        0x00100020,  # Patient ID
        0x00101000,  # Other Patient IDs
        0x00101040,  # Patient's Address
        0x00101090,  # Medical Record Locator
        0x00102154,  # Patient's Telephone Numbers
        0x00102155,  # Patient's Telecom Information
        0x00380010,  # Admission ID
        0x00400512,  # Container Identifier
        0x00400551,  # Specimen Identifier
        0x00402016,  # Placer Order Number / Imaging Service Request
        0x00402017,  # Filler Order Number / Imaging Service Request
        0x00120040,  # Clinical Trial Subject ID
    }
)
"""Ids and addresses; every PN counts beside these."""

MIN_WORD: Final = 3
"""characters; a shorter part of a name ("Li") would be found in half of all headers."""

VOCABULARY_UIDS: Final = frozenset(
    {"CodingSchemeUID", "ContextUID", "MappingResourceUID", "ContextGroupExtensionCreatorUID"}
)
"""UIDs that name a vocabulary and no instance: they stay."""


MAX_UID: Final = 64
"""characters (PS3.5 §9.1)."""

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_NAME_PARTS = re.compile(r"[\^=\s,]+")


@dataclass(frozen=True, slots=True)
class Originals:
    """Identity-bearing values of one source file; never to be printed."""

    words: frozenset[str]
    uids: frozenset[str]
    dates: frozenset[str]

    def __repr__(self) -> str:
        return f"Originals({len(self.words)} words, {len(self.uids)} uids, {len(self.dates)} dates)"

    def matcher(self) -> re.Pattern[str] | None:
        """Match any original word or date in text, as a whole word, in any case."""
        every = sorted(self.words | self.dates, key=lambda each: (-len(each), each))
        if not every:
            return None
        return re.compile(
            r"(?<![^\W_])(?:" + "|".join(re.escape(each) for each in every) + r")(?![^\W_])", re.IGNORECASE
        )


def is_uid(text: str) -> bool:
    """Whether a text is a UID (PS3.5 §9.1); leading zeros of a component, which real files hold, pass."""
    return len(text) <= MAX_UID and _UID.fullmatch(text) is not None


def is_instance_uid(tag: int, uid: str) -> bool:
    """Whether a UID may name something of this patient: vocabularies and all of PS3.6 Annex A do not.

    A private class or syntax may: nothing tells it from the UID of an instance that was put in its place.
    """
    vocabulary = keyword_for_tag(tag) in VOCABULARY_UIDS and is_uid(uid)
    return not vocabulary and not registered_type(uid)


def collect(data_set: Dataset) -> Originals:
    """Walk all public elements at every depth; private ones are removed whole and need no list.

    Raises
    ------
    RefusedError
        too-large, when sequences nest deeper than any real object's.
    """
    found = _Found()
    found.data_set(data_set, 0)
    return Originals(
        frozenset(found.words - OWN_WORDS - CODE_WORDS - {"", REMOVED.lower()}),
        frozenset(found.uids),
        frozenset(found.dates - {""}),
    )


class _Found:
    def __init__(self) -> None:
        self.words: set[str] = set()
        self.uids: set[str] = set()
        self.dates: set[str] = set()

    def data_set(self, data_set: Dataset, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise RefusedError("too-large")
        for tag, item in items_of(data_set):
            vr = vr_of(item)
            if tag.is_private:
                continue
            if vr == "SQ":
                for each in data_set[tag].value:
                    self.data_set(each, depth + 1)
            else:
                self._value(data_set, int(tag), vr)

    def _value(self, data_set: Dataset, tag: int, vr: str) -> None:
        if vr == "PN":
            parts = (part for text in texts_of(data_set, tag) for part in _NAME_PARTS.split(text))
            self.words.update(_word(part) for part in parts)
        elif tag in IDENTITY_TAGS:
            self.words.update(_word(text) for text in texts_of(data_set, tag))
        elif vr == "UI":
            self.uids.update(uid for uid in texts_of(data_set, tag) if uid and is_instance_uid(tag, uid))
        elif vr in ("DA", "DT"):
            self.dates.update(original_date(text) for text in texts_of(data_set, tag))


def _word(text: str) -> str:
    bare = text.strip(" \0").lower()
    return "" if len(bare) < MIN_WORD or is_placeholder_patient_id(bare) else bare
