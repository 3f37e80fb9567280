"""Free text by an allow-list: a word stays because it is a word of radiology, not because it looks harmless.

Nothing here knows the patient: words of the patient's identity are looked for besides (`identity`).
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from importlib.resources import files
from typing import Final

MOST_DIGITS: Final = 5
"""digits in one number: "512" and "17133" are sizes and settings, six and more an id, a date or a telephone."""

MOST_DIGITS_OF_WORD: Final = 6
"""digits in one word: "512x512"."""

FREE_LETTERS: Final = 2
"""letters; what is as short stays: units, axes, T1, W/O."""

SERIAL_LENGTH: Final = 7
"""characters; a shorter mixture of letters and digits is a kernel or a version: B31f, HD16."""

FREE_LETTERS_OF_CODE: Final = 4
"""letters; in a CS, which holds the standard's and devices' codes, more is needed to be taken for a name: FFS, DRW, SMR."""

_RUN = re.compile(r"[A-Za-z]+")
_WORD = re.compile(r"\S+")
_PART = re.compile(r"[A-Za-z0-9]+")
_SIZE = re.compile(r"[0-9]+[xX][0-9]+|(?:[0-9]{1,2}(?:Tx|Rx|Ch))+")
_DIGITS = re.compile(r"[0-9]+")
_ROUND = re.compile(r"[1-9][0-9]{0,2}000")
"""Thousands: a setting; one in a thousand ids looks so."""
_CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_NUCLIDE_ENDS = "".join(rf"(?<!\^[0-9]{{{digits}}}{state}\^)" for digits in (1, 2, 3) for state in ("", "m"))
_NEVER = re.compile(rf"[^\x20-\x7e]|[@=]|\^(?![0-9]{{1,3}}m?\^){_NUCLIDE_ENDS}|(?<!\bhttp:)(?<!\bhttps:)//")
"""Control and foreign characters, marks of addresses and of person names; of a web address each part is a word.
Carets about the mass of a nuclide ("^18^Fluorine") are PS3.16's way to raise it (CID 4020)."""
_MONTH = r"(?:jan|feb|mar|apr|ma[iy]|jun|jul|aug|sep|o[ck]t|nov|de[cz])[a-z]{0,6}"
_DATE = re.compile(
    r"(?<![0-9])(?:"
    r"(?:19|20)[0-9]{2}[-/. ]?[01][0-9][-/. ]?[0-3][0-9]"
    r"|(?:19|20)[0-9]{2}[-/.][01]?[0-9][-/.][0-3]?[0-9]"
    r"|[0-9]{1,2}[-/.][0-9]{1,2}[-/.](?:19|20)?[0-9]{2}"
    rf"|[0-3]?[0-9](?:st|nd|rd|th)?[-/._, ]{{0,2}}{_MONTH}[-/._, ]{{0,2}}(?:19|20)[0-9]{{2}}"
    rf"|[0-3]?[0-9][-/.]?{_MONTH}[-/.]?[0-9]{{2}}"
    rf"|(?<![a-z0-9]){_MONTH}[-/._ ]{{0,2}}[0-3]?[0-9](?:st|nd|rd|th)?[-/._, ]{{1,2}}(?:19|20)[0-9]{{2}}"
    r"|[0-2]?[0-9]:[0-5][0-9]:[0-5][0-9]"
    r")(?![0-9])",
    re.IGNORECASE,
)
"""Dates as people and machines write them, and times of day to the second."""
_OLD = r"0?(?:9[1-9]|1[0-4][0-9])"
_OLDEST = re.compile(
    rf"(?<![a-z])aged?:?\s*{_OLD}(?![0-9.])|(?<![0-9.]){_OLD}[ -]?y(?:[/. ]?o|rs?|ears?)?(?![a-z])",
    re.IGNORECASE,
)
"""Ages over the highest that stays (`values.OLDEST_AGE`); 90Y is also a nuclide."""
_LONG_NUMBER = re.compile(r"[0-9](?:[ \-./()]{0,2}[0-9]){6,}")
"""Seven digits and more, whatever stands between: ids, telephones, dates."""
_TITLED = re.compile(
    r"\b(?:Dr\.?|DR\.|Mrs\.?|Mr\.|Prof\.?|Professor|Doctor|Nurse)\s+(?:[A-Z][\w'-]*\.?\s*){1,3}"
)


@cache
def vocabulary() -> frozenset[str]:
    """Words of three letters and more, in lower case, that may stay in a text."""
    return frozenset(files(__package__).joinpath("vocabulary.csv").read_text("utf-8").splitlines()[2:])


@lru_cache(maxsize=8192)
def is_harmless(text: str, *, code: bool = False, model: bool = False) -> bool:
    """Whether every word of one value is on the list and no number in it is long enough to name someone.

    In the model of a device short numbers may follow each other ("9840 500 70201").
    """
    free = FREE_LETTERS_OF_CODE if code else FREE_LETTERS
    if _NEVER.search(text) or _DATE.search(text) or _TITLED.search(text) or _OLDEST.search(text):
        return False
    if not model and _LONG_NUMBER.search(text):
        return False
    return all(_word_stays(word, free) for word in text.split())


def cleaned(text: str) -> str:
    """Give what may stay of a text: itself, when all may."""
    if is_harmless(text):
        return text
    struck = bytearray(len(text))
    for shape in (_TITLED, _LONG_NUMBER, _DATE, _OLDEST, _NEVER):
        for found in shape.finditer(text):
            struck[found.start() : found.end()] = b"\1" * (found.end() - found.start())
    return " ".join(
        word[0]
        for word in _WORD.finditer(text)
        if not any(struck[word.start() : word.end()]) and _word_stays(word[0], FREE_LETTERS)
    )


def _word_stays(word: str, free: int) -> bool:
    """Judge a word; what commas part is a list of settings, and judged one by one."""
    return all(_part_stays(part, free) for part in word.split(","))


def _part_stays(word: str, free: int) -> bool:
    if _ROUND.fullmatch(word):
        return True
    digits = _DIGITS.findall(word)
    if digits and (max(map(len, digits)) > MOST_DIGITS or sum(map(len, digits)) > MOST_DIGITS_OF_WORD):
        return False
    if digits and any(_is_serial(part) for part in _PART.findall(word)):
        return False
    return all(_run_stays(run, free) for run in _RUN.findall(word))


def _is_serial(part: str) -> bool:
    """Whether letters and digits are mixed as in the number of a thing or a person: long, and without a word."""
    if len(part) < SERIAL_LENGTH or part.isdigit() or part.isalpha() or _SIZE.fullmatch(part):
        return False
    return not any(len(run) > FREE_LETTERS and run.lower() in vocabulary() for run in _RUN.findall(part))


def _run_stays(run: str, free: int) -> bool:
    """Whether letters are a word: short, listed, or of listed words in CamelCase."""
    words = vocabulary()
    lower = run.lower()
    if len(run) <= free or lower in words:
        return True
    parts = _CAMEL.findall(run)
    long = [part for part in parts if len(part) > FREE_LETTERS]
    return len(parts) > 1 and bool(long) and all(part.lower() in words for part in long)
