"""`radstream transcode`: files for storage and viewing outside, in HTJ2K Lossless; every value is verified."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from inference.spec import NotAcceptableError
from inference.transcoding import to_htj2k

Ended = Literal["transcoded", "kept", "refused", "there already"]
"""What became of a file: in HTJ2K; copied as it is (`to_htj2k` says why); unreadable, not written; its place was taken."""


def transcode(
    source: Annotated[Path, typer.Argument(help="A DICOM file, or a folder of them.", exists=True)],
    target: Annotated[
        Path, typer.Argument(help="Folder to write to, with the same names; nothing there is overwritten.")
    ],
) -> None:
    """Write DICOM files anew in HTJ2K Lossless, small and quick to read; exit status 1 if any was refused."""
    console, counted = Console(highlight=False, stderr=True), Counter[Ended]()
    for file, place in _places(source, target):
        try:
            ended = one(file, place)
        except NotAcceptableError as refused:
            console.print(f"{file}: {refused.reason}", markup=False, soft_wrap=True)
            ended = "refused"
        counted[ended] += 1
    sys.stdout.write(", ".join(f"{count} {ended}" for ended, count in sorted(counted.items())) + "\n")
    if counted["refused"]:
        raise typer.Exit(1)


def one(file: Path, place: Path) -> Ended:
    """Write one file to its place.

    Raises
    ------
    NotAcceptableError
        It is no DICOM file, or its pixels cannot be read; nothing is written.
    """
    if place.exists():
        return "there already"
    data = file.read_bytes()
    coded = to_htj2k(data)
    place.parent.mkdir(parents=True, exist_ok=True)
    unfinished = place.with_name(f"{place.name}.part")
    unfinished.write_bytes(data if coded is None else coded)
    unfinished.replace(place)
    return "kept" if coded is None else "transcoded"


def _places(source: Path, target: Path) -> Iterator[tuple[Path, Path]]:
    """Each file and where it goes, in the order of their names; what is in the target already is no source."""
    if source.is_file():
        yield source, target / source.name
        return
    for file in sorted(source.rglob("*")):
        if file.is_file() and not file.is_relative_to(target):
            yield file, target / file.relative_to(source)
