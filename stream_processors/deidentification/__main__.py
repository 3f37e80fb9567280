"""`python -m stream_processors.deidentification IN OUT`: de-identify a folder without any server."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

from rich.console import Console
from rich.markup import escape
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
        if not given.input.is_dir():
            raise ValueError("the input is no folder")
        folders.check()
        _prepare(given.report, folders)
    except (ValueError, OSError, WeakKeyError) as error:
        console.print(f"[red]Not started:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        return WRONG_USE
    try:
        outcomes = _run(console, folders, pseudonyms, profile)
    except SystemExit:
        console.print("[red]Stopped.[/] What is written is whole; there is no report.", highlight=False)
        raise
    finally:
        WORKERS.close()
    reported = _report(console, given.report, profile, outcomes)
    for name, count in summary(outcomes).items():
        console.print(f"{count:8} {name}", highlight=False, markup=False)
    if not outcomes:
        console.print("The input holds no file.", highlight=False)
    return 0 if reported and outcomes and all(each.status != "failed" for each in outcomes) else 1


def _prepare(report: Path | None, folders: Folders) -> None:
    """Make sure before the work that its report can be written behind it, and over no file of the input."""
    if report is None:
        return
    if report.is_dir():
        raise ValueError("the report is to be a file, and there is a folder")
    if folders.source.resolve() in report.resolve().parents:
        raise ValueError("the report must lie outside the input")
    report.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(report if report.exists() else report.parent, os.W_OK):
        raise ValueError("the report cannot be written there")


def _run(console: Console, folders: Folders, pseudonyms: Pseudonyms, profile: Profile) -> list[Outcome]:
    files, others = folders.found()
    columns = (TextColumn("De-identifying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        done = progress.track(run(folders, pseudonyms, profile, files), total=len(files))
        return [*done, *others]


def _report(console: Console, path: Path | None, profile: Profile, outcomes: list[Outcome]) -> bool:
    """Write the report, where one is asked for; say whether that is done."""
    if path is None:
        return True
    report = {
        "edition": EDITION,
        "options": list(profile.codes),
        "summary": summary(outcomes),
        "files": [each.record() for each in outcomes],
    }
    try:
        path.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    except OSError as error:
        console.print(f"[red]The report is not written:[/] {escape(str(error))}", highlight=False)
        return False
    return True


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


def _stopped(number: int, _frame: FrameType | None) -> NoReturn:
    """End as by an error: half a file is taken away, and the workers end."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(each) is not signal.SIG_IGN:  # as under nohup
            signal.signal(each, _stopped)
    sys.exit(main())
