"""`python -m stream_processors.deidentification IN OUT`: de-identify a folder without any server."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from schemas.identifiers import PseudonymKey, Pseudonyms, WeakKeyError
from stream_processors.deidentification.clean_pixels import WORKERS
from stream_processors.deidentification.folder import Folders, Outcome, run, summary
from stream_processors.deidentification.profile import DEFAULT, EDITION, Profile

KEY_VARIABLE: Final = "RADSTREAM_PSEUDONYM_KEY"
KEY_ID: Final = "command-line"
"""The epoch's name; it is part of no pseudonym."""
WRONG_USE: Final = 2


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 only when every file was written, or quarantined with a reason."""
    given = _parser().parse_args(arguments)
    console = Console(stderr=True)
    try:
        pseudonyms = Pseudonyms(PseudonymKey(KEY_ID, _secret(given.key_file)))
        profile = DEFAULT if given.options is None else Profile(_codes(given.options))
        quarantine = given.quarantine or given.output.with_name(given.output.name + "-quarantine")
        folders = Folders(given.input, given.output, quarantine)
        folders.check()
        if not given.input.is_dir():
            raise ValueError("the input is no folder")
    except (ValueError, OSError, WeakKeyError) as error:
        console.print(f"[red]Not started:[/] {error}", markup=True, highlight=False)
        return WRONG_USE
    try:
        outcomes = _run(console, folders, pseudonyms, profile)
    finally:
        WORKERS.close()
    if given.report:
        report = {
            "edition": EDITION,
            "options": list(profile.codes),
            "summary": summary(outcomes),
            "files": [each.record() for each in outcomes],
        }
        given.report.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    for name, count in summary(outcomes).items():
        console.print(f"{count:8} {name}", highlight=False)
    return 0 if outcomes and all(each.status != "failed" for each in outcomes) else 1


def _run(console: Console, folders: Folders, pseudonyms: Pseudonyms, profile: Profile) -> list[Outcome]:
    files = folders.files()
    columns = (TextColumn("De-identifying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        return list(progress.track(run(folders, pseudonyms, profile, files), total=len(files)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m stream_processors.deidentification",
        description="De-identify a folder of DICOM files after PS3.15 Annex E. What cannot be cleaned is encrypted "
        "and set aside with its reason.",
        epilog=f"The pseudonym key is read from {KEY_VARIABLE} (hex, at least 32 bytes) or from --key-file.",
    )
    parser.add_argument("input", type=Path, metavar="IN")
    parser.add_argument("output", type=Path, metavar="OUT")
    parser.add_argument("--quarantine", type=Path, metavar="DIR", help="default: OUT-quarantine beside OUT")
    parser.add_argument(
        "--report", type=Path, metavar="FILE.json", help="every action by attribute path, no value"
    )
    parser.add_argument(
        "--options",
        metavar="CODE,...",
        help=f"DCM codes of the option columns instead of the default's ({','.join(DEFAULT.codes)}); Basic is always on",
    )
    parser.add_argument(
        "--key-file", type=Path, metavar="FILE", help="a file with the key as hex or as raw bytes"
    )
    return parser


def _codes(text: str) -> frozenset[str]:
    return frozenset(code.strip() for code in text.split(",") if code.strip())


def _secret(path: Path | None) -> bytes:
    """Read the key; a message about it never quotes it."""
    raw = path.read_bytes() if path else os.environ.get(KEY_VARIABLE, "").encode()
    if not raw:
        raise ValueError(f"no key: set {KEY_VARIABLE} or give --key-file")
    try:
        return bytes.fromhex(raw.decode("ascii").strip())
    except (UnicodeDecodeError, ValueError):
        if path is None:
            raise ValueError(f"{KEY_VARIABLE} is not hex") from None
        return raw


if __name__ == "__main__":
    sys.exit(main())
