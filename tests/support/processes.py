"""Processes as the kernel sees them, and waiting for what they do."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from inference.model_processes import command_line

WAIT_S = 300.0
"""seconds until something that must happen has happened, on a machine that does much else."""
STOPPED = "T"
"""State of a process that SIGSTOP holds (proc(5))."""


def wait_until(condition: Callable[[], bool], what: str, *, seconds: float = WAIT_S) -> None:
    """Wait for a condition; AssertionError that says what never came."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.02)


@contextlib.contextmanager
def frozen(pid: int) -> Iterator[bool]:
    """Hold a process still (SIGSTOP) while something is measured; yields whether it is there and stands still."""
    try:
        os.kill(pid, signal.SIGSTOP)
    except ProcessLookupError:
        yield False
        return
    try:
        deadline = time.monotonic() + 1
        while _state(pid) not in (STOPPED, "") and time.monotonic() < deadline:
            time.sleep(0.001)
        yield _state(pid) == STOPPED
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def _state(pid: int) -> str:
    """State letter of a process, empty if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii", errors="replace").rpartition(")")[2].split()[0]
    except OSError:
        return ""


def alive(pid: int) -> bool:
    """Whether a process runs (a dead one that nobody has waited for does not)."""
    return _state(pid) not in ("", "Z", "X")


def wait_until_gone(pids: Iterable[int], *, seconds: float = WAIT_S) -> None:
    """Wait for the end of processes; AssertionError that names each one left: its state, where it waits, its command line."""
    left = list(pids)

    def gone() -> bool:
        left[:] = filter(alive, left)
        return not left

    try:
        wait_until(gone, "every process is gone", seconds=seconds)
    except AssertionError as error:
        raise AssertionError("\n".join([str(error), *map(_described, left)])) from None


def _described(pid: int) -> str:
    """One line on a process that should not be there."""
    try:
        waits = Path(f"/proc/{pid}/wchan").read_text()
    except OSError:
        return f"{pid} has ended since"
    return f"{pid} {_state(pid)} in {waits}: {' '.join(command_line(pid))}"


def descendants(pid: int) -> list[int]:
    """Ids of a process's children, their children, and so on."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, task.read_text("ascii").split()):
                found += [child, *descendants(child)]
    return found
