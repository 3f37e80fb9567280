"""Whether another process of this machine still lives, so that its work is taken over at once and not after a time-out."""

from __future__ import annotations

import os
import socket
from pathlib import Path

_STATE, _START_TIME = 0, 19
"""Fields of `/proc/<pid>/stat` after the command name: state, and start in clock ticks since boot (proc(5))."""


def place() -> str:
    """Name of the space in which a process number means the same process: boot and pid namespace, else the host."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()


def started(pid: int) -> str:
    """Say when a process began, to tell it from a later one with its number; empty where that cannot be known."""
    fields = _stat(pid)
    return fields[_START_TIME] if fields else ""


def alive(pid: int, start: str) -> bool:
    """Whether the process with that number and start still runs."""
    fields = _stat(pid)
    if fields:
        return fields[_STATE] not in "ZX" and start in ("", fields[_START_TIME])
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _stat(pid: int) -> list[str]:
    """Fields of a process in Linux's process table; empty if there is none or no such table."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("ascii", errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()
