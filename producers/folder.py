"""Batch gateway: takes in a folder of DICOM files, through the same use case as STOW.

Files go in batches of one folder and at most one chunk; a batch is one delivery, so a repeated run repeats its events.
A journal of finished files makes a second run skip what is done; without it, duplicates would be found all the same.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from producers.header import HEAD_BYTES, MAX_HEADER_BYTES, MalformedError, NeedMoreError, read_header
from producers.ingest import MAX_CHUNK, Delivery, Outcome
from runtime import faults, logs
from runtime.connections import Connections, connect
from runtime.errors import RetryError, StopError
from runtime.settings import load_settings
from schemas.identifiers import Pseudonyms

NAME = "folder"
THREADS = 4
"""Batches at once: reading, encrypting and storing overlap; more gains nothing on one disk."""
READ_BYTES = 1024 * 1024
"""bytes read from a file at once."""


@dataclass
class Summary:
    """What became of the files; the keys of the JSON summary."""

    files: int = 0
    stored: int = 0
    duplicates: int = 0
    skipped: int = 0
    """Files the journal says were finished by an earlier run."""
    quarantined: Counter[str] = field(default_factory=Counter)
    failed: int = 0

    def add(self, outcome: Outcome) -> None:
        """Count one file's outcome."""
        self.stored += outcome.status == "stored"
        self.duplicates += outcome.status == "duplicate"
        self.failed += outcome.status == "failed"
        if outcome.status == "quarantined":
            self.quarantined[outcome.reason] += 1

    def as_dict(self) -> dict[str, Any]:
        """Plain form, for JSON."""
        return {
            "files": self.files,
            "stored": self.stored,
            "duplicates": self.duplicates,
            "skipped": self.skipped,
            "quarantined": dict(sorted(self.quarantined.items())),
            "failed": self.failed,
        }


class Journal:
    """Files that are finished, one keyed digest per line: a path may hold a name, so none is written.

    Parameters
    ----------
    path
        The journal's file; made when missing.
    names
        Pseudonyms of the site, for the keyed digest.
    """

    def __init__(self, path: Path, names: Pseudonyms) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._names = names
        self._lock = threading.Lock()
        self._known = set(path.read_text("ascii").split()) if path.exists() else set()

    def __contains__(self, file: Path) -> bool:
        return self._entry(file) in self._known

    def add(self, files: Iterable[Path]) -> None:
        """Note files as finished; durable on return."""
        entries = [self._entry(file) for file in files]
        with self._lock, self._path.open("a", encoding="ascii") as journal:
            journal.writelines(f"{entry}\n" for entry in entries)
            journal.flush()
            os.fsync(journal.fileno())
            self._known.update(entries)

    def _entry(self, file: Path) -> str:
        status = file.stat()
        described = f"{file.resolve()}\0{status.st_size}\0{status.st_mtime_ns}"
        return self._names.raw_digest(hashlib.sha256(os.fsencode(described)).digest())


def batches(path: Path) -> Iterator[list[Path]]:
    """Yield the regular files under a path, sorted: each batch of one folder and at most `MAX_CHUNK` long."""
    if path.is_file():
        yield [path]
        return
    for folder, folders, names in os.walk(path):
        folders.sort()
        files = [file for name in sorted(names) if (file := Path(folder, name)).is_file()]
        for start in range(0, len(files), MAX_CHUNK):
            yield files[start : start + MAX_CHUNK]


def judge(file: Path) -> Outcome:
    """Say what taking in a file would come to, from its header alone (dry run)."""
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
            while True:
                try:
                    read_header(head, size)
                    return Outcome("stored")
                except NeedMoreError as error:
                    if len(head) >= min(size, MAX_HEADER_BYTES):
                        return Outcome("quarantined", "header-too-large")
                    stream.seek(0)
                    head = stream.read(min(max(error.size, 2 * len(head)), MAX_HEADER_BYTES))
    except MalformedError as malformed:
        return Outcome("quarantined", malformed.reason)
    except OSError:
        return Outcome("failed", "unreadable-file")


def take_in(connections: Connections, site: str, files: Sequence[Path]) -> tuple[Outcome, ...]:
    """Take in one batch as one delivery; outcomes in the order of the files."""
    delivery = Delivery(connections, NAME, site)
    for file in files:
        _send(delivery, file)
    delivery.flush()
    faults.reach("before-acknowledge")
    return delivery.outcomes


def _send(delivery: Delivery, file: Path) -> None:
    incoming = None
    try:
        with file.open("rb") as stream:
            incoming = delivery.begin()
            while data := stream.read(READ_BYTES):
                incoming.write(data)
    except (OSError, RetryError) as error:
        if incoming is not None:
            incoming.abort()
        delivery.refuse("unavailable" if isinstance(error, RetryError) else "unreadable-file")
        return
    delivery.accept(incoming)


class Batch:
    """One run over a folder.

    Parameters
    ----------
    connections
        The process's connections.
    site
        Site the files belong to.
    dry_run
        Judge the files and store nothing.
    """

    def __init__(self, connections: Connections, site: str, *, dry_run: bool) -> None:
        self._connections = connections
        self._site = site
        self._dry_run = dry_run
        self._lock = threading.Lock()
        self.summary = Summary()
        names = connections.pseudonyms(site)
        self._journal = Journal(
            connections.settings.data / "folder" / f"{names.study('', 'journal')}.txt", names
        )

    def run(self, path: Path, *, threads: int, progress: Progress) -> Summary:
        """Take in every file under a path, `threads` batches at once."""
        work = list(batches(path))
        task = progress.add_task(self._site, total=sum(len(files) for files in work))
        with ThreadPoolExecutor(max(1, threads), thread_name_prefix=NAME) as pool:
            for count in pool.map(self._one, work):
                progress.advance(task, count)
        return self.summary

    def _one(self, files: list[Path]) -> int:
        if self._dry_run:
            outcomes: Sequence[Outcome] = [judge(file) for file in files]
            new = files
        else:
            new = [file for file in files if file not in self._journal]
            outcomes = take_in(self._connections, self._site, new)
            self._journal.add(
                file for file, outcome in zip(new, outcomes, strict=True) if outcome.status != "failed"
            )
        with self._lock:
            self.summary.files += len(files)
            self.summary.skipped += len(files) - len(new)
            for outcome in outcomes:
                self.summary.add(outcome)
        return len(files)


def main(path: Path, site: str, *, dry_run: bool, as_json: bool, threads: int) -> int:
    """Run the batch gateway on its own.

    Returns 0 when every file is safe or refused with a reason, 1 when any failed, 2 when it could not start.
    """
    logs.configure(NAME)
    try:
        settings = load_settings()
        logs.configure(NAME, settings.log_level)
        faults.configure(settings.data / "faults", NAME)
        settings.site(site)
        if not path.exists():
            raise StopError("there is no such path")
        connections = connect(settings, NAME)
    except StopError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    try:
        with _progress(quiet=as_json) as progress:
            summary = Batch(connections, site, dry_run=dry_run).run(path, threads=threads, progress=progress)
    finally:
        connections.close()
    sys.stdout.write(json.dumps(summary.as_dict()) + "\n" if as_json else _lines(summary))
    return 1 if summary.failed else 0


def _progress(*, quiet: bool) -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=quiet or not console.is_terminal,
    )


def _lines(summary: Summary) -> str:
    plain = summary.as_dict()
    reasons = plain.pop("quarantined")
    lines = [f"{name:<12}{value}" for name, value in plain.items()]
    lines += [f"quarantined {count} ({reason})" for reason, count in reasons.items()]
    return "\n".join(lines) + "\n"
