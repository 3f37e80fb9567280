"""What was done to a file, without a value of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Final, cast

from stream_processors.deidentification.dictionary import keyword_of
from stream_processors.deidentification.edits import RUN, Edit, Path

ICON: Final = 0x00880200
"""Icon Image Sequence: a small picture of the image, text and all."""


@dataclass(frozen=True, slots=True)
class Blanked:
    """What was taken out of pixels that were cleaned, as numbers of boxes: never where they lie, never what stood there."""

    device: int
    """Of the region table."""
    outside: int
    """Covering what an ultrasound does not declare to be image."""
    text: int
    """Where text was found."""
    frames: int
    """Frames of the image; each box is blanked in all of them."""

    @property
    def boxes(self) -> int:
        """All boxes of a frame."""
        return self.device + self.outside + self.text


@dataclass(frozen=True)
class Report:
    """Counts by action at every depth, and each action by the path of its attribute."""

    edition: str
    options: tuple[str, ...]
    """CID 7050 codes truly carried out."""
    edits: tuple[Edit, ...] = field(default=(), repr=False)
    """The changes; never shown, since they hold what was put in place."""
    own_output: bool = False
    """Whether the file was our own output and thus left as it is."""
    blanked: Blanked | None = None
    """Of pixels that were at risk and cleaned."""

    @cached_property
    def steps(self) -> tuple[tuple[Path, int, str], ...]:
        """Path, tag and action of every change, in file order; an adjusted length is none."""
        found: list[tuple[Path, int, str]] = []
        for _start, _stop, _new, path, tag, rule in self.edits:
            if rule == RUN:
                found += [((), each, what) for each, what in cast("tuple[tuple[int, str], ...]", path)]
            elif rule:
                found.append((path, tag, rule))
        return tuple(found)

    @cached_property
    def counts(self) -> dict[str, int]:
        """How often each action was taken."""
        return dict(sorted(Counter(step[2] for step in self.steps).items()))

    @property
    def icons(self) -> int:
        """How many icons went: they always go."""
        return sum(tag == ICON for _path, tag, _action in self.steps)

    @property
    def pixels(self) -> dict[str, int] | None:
        """What was taken out of pixels that were cleaned, with the icons; None for pixels that stayed as they are."""
        return None if self.blanked is None else asdict(self.blanked) | {"icons": self.icons}

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
