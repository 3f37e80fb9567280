"""What the source says about a person, collected while it is walked, to be looked for in all that stays."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import permutations
from typing import Final

from schemas.identifiers import is_placeholder_patient_id
from stream_processors.deidentification.codes import CODE_WORDS
from stream_processors.deidentification.dictionary import registered_type
from stream_processors.deidentification.profile import OWN_WORDS
from stream_processors.deidentification.rules import is_vocabulary_uid
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

MIN_PART: Final = 2
MOST_PARTS: Final = 3
"""characters of a part, and parts of a name, that are looked for together where one alone is too short."""
_BETWEEN: Final = (" ", ", ", ",", "-", "_", ".")

MAX_UID: Final = 64
"""characters (PS3.5 §9.1)."""

LOWER: Final = bytes(range(256)).decode("latin-1").lower().encode("latin-1")
"""For `bytes.translate`: lower case as of words that were noted as Latin-1, whatever the character set; `bytes.lower` knows
ASCII only."""

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_NAME_PARTS = re.compile(r"[\^=\s,\\]+")
_NO_EVIDENCE: Final = OWN_WORDS | CODE_WORDS | {"", REMOVED.lower()}


@dataclass(slots=True)
class Identity:
    """Identity-bearing values of one source file; never to be printed."""

    words: set[str] = field(default_factory=set)
    uids: set[str] = field(default_factory=set)
    dates: set[str] = field(default_factory=set)

    def __repr__(self) -> str:
        return f"Identity({len(self.words)} words, {len(self.uids)} uids, {len(self.dates)} dates)"

    def note(self, tag: int, vr: str, value: bytes) -> None:
        """Remember what an element says of a person: names, ids, UIDs of instances, dates."""
        if vr == "UI":
            self.uids.update(_uids(tag, value))
        elif vr in ("DA", "DT"):
            self.dates.update(_dates(value))
        elif vr == "PN":
            self.words.update(_names(value))
        elif tag in IDENTITY_TAGS:
            self.words.update(_word(part) for part in value.decode("latin-1").split("\\"))

    def sought(self) -> frozenset[str]:
        """Words and dates that may stand in no text of the output, in lower case."""
        return frozenset((self.words | self.dates) - _NO_EVIDENCE)

    def found_in(self, texts: list[bytes]) -> bool:
        """Whether any word or date stands in a text."""
        together = b"\n".join(texts).translate(LOWER).decode("latin-1")
        found = frozenset(word for word in self.sought() if word in together)
        return bool(found) and matcher(found).search(together) is not None


def names_somebody(tag: int, vr: str) -> bool:
    """Whether an element says something of a person that is to be looked for elsewhere (see `Identity.note`)."""
    return vr in ("PN", "UI", "DA", "DT") or tag in IDENTITY_TAGS


@lru_cache(maxsize=256)
def matcher(words: frozenset[str]) -> re.Pattern[str]:
    """Match any word as a whole word, in any case; an empty set matches nothing.

    A word with other than ASCII bytes counts within another, too: Chinese, Japanese and Thai have no space between words.
    """
    every = [re.escape(each) for each in sorted(words, key=lambda each: (-len(each), each))]
    whole = "|".join(each for each in every if each.isascii()) or "(?!)"
    anywhere = "|".join(each for each in every if not each.isascii()) or "(?!)"
    return re.compile(rf"(?<![^\W_])(?:{whole})(?![^\W_])|(?:{anywhere})", re.IGNORECASE)


@lru_cache(maxsize=4096)
def is_uid(text: str) -> bool:
    """Whether a text is a UID (PS3.5 §9.1); leading zeros of a component, which real files hold, pass."""
    return len(text) <= MAX_UID and _UID.fullmatch(text) is not None


def is_instance_uid(tag: int, uid: str) -> bool:
    """Whether a UID may name something of this patient: vocabularies and all of PS3.6 Annex A do not.

    A private class or syntax may: nothing tells it from the UID of an instance that was put in its place.
    """
    return not (is_vocabulary_uid(tag) and is_uid(uid)) and not registered_type(uid)


@lru_cache(maxsize=4096)
def _uids(tag: int, value: bytes) -> tuple[str, ...]:
    uids = [uid.strip(" \0") for uid in value.decode("latin-1").split("\\")]
    return tuple([uid for uid in uids if uid and is_instance_uid(tag, uid)])


@lru_cache(maxsize=1024)
def _dates(value: bytes) -> tuple[str, ...]:
    return tuple(original_date(part) for part in value.decode("latin-1").split("\\"))


@lru_cache(maxsize=1024)
def _names(value: bytes) -> tuple[str, ...]:
    parts = _NAME_PARTS.split(value.decode("latin-1"))
    return (*map(_word, parts), *_short_names(part.strip(" \0").lower() for part in parts))


def _short_names(parts: Iterable[str]) -> Iterator[str]:
    """Give names whose parts are too short to be looked for alone as they are written together: "Wu Li", "Li, Wu"."""
    short = [part for part in parts if MIN_PART <= len(part) < MIN_WORD][:MOST_PARTS]
    for one, other in permutations(short, 2):
        yield from (f"{one}{between}{other}" for between in _BETWEEN)


def _word(text: str) -> str:
    bare = text.strip(" \0").lower()
    return "" if len(bare) < MIN_WORD or is_placeholder_patient_id(bare) else bare
