"""What was done to a file, without a value of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from stream_processors.deidentification.dictionary import keyword_of
from stream_processors.deidentification.walker import Edit, Path


@dataclass(frozen=True)
class Report:
    """Counts by action at every depth, and each action by the path of its attribute."""

    edition: str
    options: tuple[str, ...]
    """CID 7050 codes truly carried out."""
    steps: tuple[tuple[Path, int, str], ...]
    """Path, tag and action of every change, in file order."""
    own_output: bool = False
    """Whether the file was our own output and thus left as it is."""

    @classmethod
    def of(cls, edition: str, options: tuple[str, ...], edits: Iterable[Edit], own_output: bool) -> Report:
        """Report a file's edits; an adjusted length is none."""
        steps = () if own_output else tuple([edit[3:] for edit in edits if edit[5]])
        return cls(edition, options, steps, own_output)

    @cached_property
    def counts(self) -> dict[str, int]:
        """How often each action was taken."""
        return dict(sorted(Counter(step[2] for step in self.steps).items()))

    @property
    def actions(self) -> list[tuple[str, str]]:
        """Attribute path (`(0040,0275)[1].(0040,0009) ScheduledProcedureStepID`) and action of each change."""
        return [(named(path, tag), action) for path, tag, action in self.steps]


def named(path: Path, tag: int) -> str:
    """Write a path as people read it; tags and keywords only."""
    text = f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
    keyword = "" if tag >> 16 & 1 else keyword_of(tag)
    prefix = ""
    while path:
        parent, sequence, number = path
        assert isinstance(sequence, int)
        assert isinstance(parent, tuple)
        prefix = f"({sequence >> 16:04X},{sequence & 0xFFFF:04X})[{number}]." + prefix
        path = parent
    return f"{prefix}{text} {keyword}".rstrip()
