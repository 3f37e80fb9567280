"""De-identify a folder: clean files under the same relative paths, all others sealed, each with its reason."""

from __future__ import annotations

import errno
import os
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
LINK: Final = "link"
SPECIAL_FILE: Final = "special-file"
"""Reasons of what is not read: pipes, sockets and devices are special files."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file; no value of the file is in it."""

    path: str
    """Relative to the input folder."""
    status: str
    """`written`, `quarantined` or `failed` (could not be read or written, or is no file that may be read)."""
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
            When one folder is, or lies in, another, or is no folder.
        """
        places = [each.resolve() for each in (self.source, self.output, self.quarantine)]
        for at, one in enumerate(places):
            for other in places[at + 1 :]:
                if one == other or one in other.parents or other in one.parents:
                    raise ValueError(
                        "input, output and quarantine must be three folders apart from each other"
                    )
        if any(each.exists() and not each.is_dir() for each in places):
            raise ValueError("input, output and quarantine must be folders")

    def found(self) -> tuple[list[Path], list[Outcome]]:
        """List the regular files of the input, in order, and what else is there and thus becomes nothing.

        A link may lead anywhere and a pipe never ends: neither is read. That they, and folders that cannot be listed,
        are left out must not look like success.
        """
        files: list[Path] = []
        others: list[Outcome] = []
        pending = [self.source]
        while pending:
            folder = pending.pop()
            try:
                entries = list(os.scandir(folder))
            except OSError as error:
                others.append(_failed(folder.relative_to(self.source).as_posix(), _kind(error)))
                continue
            for entry in entries:
                path = folder / entry.name
                if entry.is_file(follow_symlinks=False):
                    files.append(path)
                elif entry.is_dir(follow_symlinks=False):
                    pending.append(path)
                else:
                    reason = LINK if entry.is_symlink() else SPECIAL_FILE
                    others.append(_failed(path.relative_to(self.source).as_posix(), reason))
        return sorted(files), sorted(others, key=lambda each: each.path)


def run(folders: Folders, pseudonyms: Pseudonyms, profile: Profile, files: list[Path]) -> Iterator[Outcome]:
    """De-identify files one after the other; a file that fails stops no other."""
    for path in files:
        name = path.relative_to(folders.source).as_posix()
        try:
            yield _one(folders, path, name, pseudonyms, profile)
        except OSError as error:
            yield _failed(name, _kind(error))


def _kind(error: OSError) -> str:
    """Name an error without the path in it: many kinds, a full disk's among them, have no class of their own."""
    code = errno.errorcode.get(error.errno or 0, "")
    return f"{type(error).__name__} {code}" if code and type(error) is OSError else type(error).__name__


def _failed(name: str, reason: str) -> Outcome:
    return Outcome(name, "failed", reason, {}, [])


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
    try:
        part.write_bytes(data)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def summary(outcomes: list[Outcome]) -> dict[str, int]:
    """Count statuses, and reasons of what is not written."""
    counts = Counter(each.status for each in outcomes)
    counts.update(each.reason for each in outcomes if each.reason)
    return dict(sorted(counts.items()))
