"""Runs of plain elements: the files of a series repeat each other, and what was decided for equal bytes holds again.

A run is a few neighbouring top-level elements of one group, none of them a sequence that stays. It is looked up by its
bytes: first for the facts in it, then, among what is the same for everybody and what is known of the patient, for what
becomes of it. What repeats nothing is walked element by element, with the same outcome.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from typing import Final, NamedTuple

from stream_processors.deidentification.encoding import Encoding

MOST_ELEMENTS: Final = 16
"""of one run: a changed value costs a walk over its neighbours."""
MOST_BYTES: Final = 1024
"""bytes of one element of a run."""
MOST_BYTES_OF_RUN: Final = 4096
"""bytes of runs that were joined to one."""
MOST_RUNS: Final = 4096
"""remembered for a profile: a few MB of headers."""
HEAD: Final = 8
"""bytes by which the beginning of a run is known: tag, VR and length, or tag and length."""

LAST_FACT: Final = 0x00401003
"""Beyond this tag no fact is asked for; functional groups and pixels come later."""
LAST_TAG: Final = 0xFFFFFFFF

BOUNDS: Final = (0x00120064, 0x00280303, LAST_FACT)
"""Behind the first two stands what was done: (0012,0062) to (0012,0064), and (0028,0303). No run reaches across one, in
whatever order the elements of the file stand in which it is met first."""
LIMITS: Final = (*BOUNDS, LAST_TAG)

VARYING: Final = frozenset(
    {
        0x00080013,  # Instance Creation Time
        0x00080018,  # SOP Instance UID
        0x00080032,  # Acquisition Time
        0x00080033,  # Content Time
        0x00200012,  # Acquisition Number
        0x00200013,  # Instance Number
        0x00200032,  # Image Position (Patient)
        0x00201041,  # Slice Location
        0x00280106,  # Smallest Image Pixel Value
        0x00280107,  # Largest Image Pixel Value
    }
)
"""What differs between the slices of a series: it stands in no run, so that the runs around it stay equal."""

NOTHING: Final = (0, 0)

Found = tuple[tuple[int, bytes], ...]
"""Tags and values of the facts in a run."""


def bound_of(tag: int) -> int:
    """Give the bound that no element of a run which begins so lies behind."""
    return LIMITS[bisect_left(BOUNDS, tag)]


class Done(NamedTuple):
    """What becomes of a run."""

    output: bytes
    steps: tuple[tuple[int, str], ...]
    """Tag and rule of each change."""
    texts: bytes
    """All texts and numbers that stay, in which no word of the patient may stand."""
    words: frozenset[str]
    uids: frozenset[str]
    dates: frozenset[str]

    @property
    def names_nobody(self) -> bool:
        """Whether no name, no id and no date is in it."""
        return not (self.words or self.dates)


class Runs:
    """The runs of one encoding under one profile, learned as they come."""

    def __init__(self, encoding: Encoding) -> None:
        self._encoding = encoding
        self.sizes: dict[bytes, tuple[int, int]] = {}
        """Bytes of the run that was last seen to begin so, and its first tag."""
        self.facts: dict[bytes, Found] = {}

    def learn(self, raw: bytes, begin: int, stop: int, found: Found) -> None:
        """Remember a run. The file in which it is met first is walked element by element: most runs are never met again."""
        self._remember(raw[begin:stop], found)

    def join(self, one: bytes, other: bytes, anybodys: Mapping[tuple[Encoding, bytes], Done]) -> None:
        """Remember two runs that stand together as one, where both are the same for everybody, and no bound lies between."""
        tag, short = self._encoding.tag, len(one) + len(other) <= MOST_BYTES_OF_RUN
        both = short and (self._encoding, one) in anybodys and (self._encoding, other) in anybodys
        if both and tag(other) <= bound_of(tag(one)):
            self._remember(one + other, self.facts.get(one, ()) + self.facts.get(other, ()))

    def _remember(self, run: bytes, found: Found) -> None:
        if len(self.facts) >= MOST_RUNS:
            self.facts.clear()
            self.sizes.clear()
        self.sizes[run[:HEAD]] = (len(run), self._encoding.tag(run))
        self.facts[run] = found
