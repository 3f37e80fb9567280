"""De-identify a folder: clean files under the same relative paths, all others sealed, each with its reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from schemas.identifiers import Pseudonyms
from stream_processors.deidentification.clean_pixels import policy_of
from stream_processors.deidentification.files import deidentify_file
from stream_processors.deidentification.output import Plan
from stream_processors.deidentification.profile import Profile
from stream_processors.deidentification.refusal import RefusedError
from stream_processors.deidentification.sealed_file import seal

SEALED_SUFFIX: Final = ".sealed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file; no value of the file is in it."""

    path: str
    """Relative to the input folder."""
    status: str
    """`written`, `quarantined` or `failed` (could not be read or written)."""
    reason: str
    counts: dict[str, int]
    actions: list[tuple[str, str]]
    pixels: dict[str, int] | None = None
    """Boxes by what they were found by, frames and icons, where pixels were cleaned."""

    def record(self) -> dict[str, object]:
        """Give the outcome as JSON-ready values."""
        return {
            "path": self.path,
            "status": self.status,
            "reason": self.reason,
            "counts": self.counts,
            "pixels": self.pixels,
            "actions": [{"attribute": attribute, "action": action} for attribute, action in self.actions],
        }


@dataclass(frozen=True, slots=True)
class Folders:
    """Where files come from and go to."""

    source: Path
    output: Path
    quarantine: Path

    def check(self) -> None:
        """Refuse folders that lie in each other: clean and other files must never mix.

        Raises
        ------
        ValueError
            When one folder is, or lies in, another.
        """
        places = [each.resolve() for each in (self.source, self.output, self.quarantine)]
        for at, one in enumerate(places):
            for other in places[at + 1 :]:
                if one == other or one in other.parents or other in one.parents:
                    raise ValueError(
                        "input, output and quarantine must be three folders apart from each other"
                    )

    def files(self) -> list[Path]:
        """List the regular files of the input, links left out, in order."""
        return sorted(path for path in self.source.rglob("*") if path.is_file() and not path.is_symlink())


def run(folders: Folders, pseudonyms: Pseudonyms, profile: Profile, files: list[Path]) -> Iterator[Outcome]:
    """De-identify files one after the other; a file that fails stops no other."""
    for path in files:
        name = path.relative_to(folders.source).as_posix()
        try:
            yield _one(folders, path, name, pseudonyms, profile)
        except OSError as error:
            yield Outcome(name, "failed", type(error).__name__, {}, [])


def _one(folders: Folders, path: Path, name: str, pseudonyms: Pseudonyms, profile: Profile) -> Outcome:
    target = folders.output / name
    made: Plan | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        made = deidentify_file(path, target, pseudonyms, profile, policy_of(profile))
        reason = f"pixels-at-risk: {made.pixels_at_risk}" if made.pixels_at_risk else ""
    except RefusedError as refused:
        reason = refused.reason
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001 - the process boundary: a fault of ours must not become a leak
        reason = f"fault: {type(error).__name__}"
    if made is None or reason:
        _write(
            folders.quarantine / (name + SEALED_SUFFIX), seal(path.read_bytes(), pseudonyms.key.secret, name)
        )
        return Outcome(name, "quarantined", reason, {}, [])
    return Outcome(name, "written", "", made.report.counts, made.report.actions, made.report.pixels)


def _write(path: Path, data: bytes) -> None:
    """Write a whole file or none: a reader never sees half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(data)
    part.replace(path)


def summary(outcomes: list[Outcome]) -> dict[str, int]:
    """Count statuses, and reasons of what is not written."""
    counts = Counter(each.status for each in outcomes)
    counts.update(each.reason for each in outcomes if each.reason)
    return dict(sorted(counts.items()))
