"""What the source says about a person, collected before anything is changed, to be looked for afterwards."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset

from schemas.identifiers import is_placeholder_patient_id
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

CLASS_KEYWORDS: Final = (
    "ClassUID",
    "ClassesInStudy",
    "ClassesInSeries",
    "ClassesSupported",
    "TransferSyntaxUID",
)
VOCABULARY_UIDS: Final = frozenset(
    {"CodingSchemeUID", "ContextUID", "MappingResourceUID", "ContextGroupExtensionCreatorUID"}
)
"""UIDs that name a class, a syntax or a vocabulary and no instance: they stay."""


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


def is_instance_uid(tag: int, uid: str) -> bool:
    """Whether a UID names something of this patient; classes, syntaxes and all of PS3.6 Annex A do not."""
    keyword = keyword_for_tag(tag)
    named = keyword.endswith(CLASS_KEYWORDS) or keyword in VOCABULARY_UIDS
    return not named and not registered_type(uid)


def collect(data_set: Dataset) -> Originals:
    """Walk all public elements at every depth; private ones are removed whole and need no list.

    Raises
    ------
    RefusedError
        too-large, when sequences nest deeper than any real object's.
    """
    words: set[str] = set()
    uids: set[str] = set()
    dates: set[str] = set()
    _collect(data_set, words, uids, dates, 0)
    return Originals(frozenset(words - {REMOVED.lower()}), frozenset(uids), frozenset(dates - {""}))


def _collect(data_set: Dataset, words: set[str], uids: set[str], dates: set[str], depth: int) -> None:
    if depth > MAX_DEPTH:
        raise RefusedError("too-large")
    for tag, item in items_of(data_set):
        if tag.is_private:
            continue
        vr = vr_of(item)
        if vr == "SQ":
            for each in data_set[tag].value:
                _collect(each, words, uids, dates, depth + 1)
        elif vr == "PN":
            for text in texts_of(data_set, tag):
                words.update(_words(part) for part in re.split(r"[\^=\s,]+", text))
        elif int(tag) in IDENTITY_TAGS:
            words.update(_words(text) for text in texts_of(data_set, tag))
        elif vr == "UI":
            uids.update(uid for uid in texts_of(data_set, tag) if uid and is_instance_uid(tag, uid))
        elif vr in ("DA", "DT"):
            dates.update(original_date(text) for text in texts_of(data_set, tag))
    words.discard("")


def _words(text: str) -> str:
    bare = text.strip(" \0").lower()
    return "" if len(bare) < MIN_WORD or is_placeholder_patient_id(bare) else bare
