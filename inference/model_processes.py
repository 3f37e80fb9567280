"""The processes that hold a server's models, as the kernel shows them, and what they leave behind."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where the server puts its regions
OURS = "radstream-"
"""How the name of every region begins that a server of ours has there."""
MODEL_PROCESS = "triton_python_backend_stub"
"""The program that they run."""
WAITING_FOR_A_CHILD = "do_wait"
"""Where in the kernel a thread is that waits for a child to end (proc_pid_wchan(5); 0 where we may not know)."""


def model_processes(server: int, region: str) -> tuple[int, ...]:
    """Process ids of the model processes of a server, by the prefix of its regions in shared memory."""

    def holds_a_model(program: str, *arguments: str) -> bool:
        # The server also runs the program once without arguments, to see whether it can.
        return program.endswith(MODEL_PROCESS) and any(word.startswith(region) for word in arguments)

    found = []
    for task in Path(f"/proc/{server}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # a thread has ended
            children = map(int, task.read_text().split())
            found += [pid for pid in children if holds_a_model(*command_line(pid))]
    return tuple(sorted(found))


def waits_for_a_child(server: int) -> bool:
    """Whether a thread of a server waits for the end of one of its processes."""
    for where in Path(f"/proc/{server}/task").glob("*/wchan"):
        with contextlib.suppress(OSError):  # a thread has ended
            if where.read_text() == WAITING_FOR_A_CHILD:
                return True
    return False


def shared_memory_prefix(repository: Path) -> str:
    """Name of our regions in shared memory: one per repository and starting process."""
    place = hashlib.sha256(str(repository.absolute()).encode()).hexdigest()[:10]
    return f"{OURS}{place}-{os.getpid()}-"


def remove_leftovers(repository: Path, *, owner: int | None = None) -> int:
    """Remove what dead servers over this repository left (or that of ``owner``): regions, and model processes that wait for
    an answer of a server that is gone and hold Python's lock meanwhile, so that nothing in them can end them.

    Returns how many regions there were.
    """
    place = shared_memory_prefix(repository).rsplit("-", 2)[0]

    def left(region: str) -> bool:
        pid = region.removeprefix(place + "-").split("-", 1)[0]
        return region.startswith(place + "-") and (
            pid == str(owner) or (pid.isdigit() and not Path(f"/proc/{pid}").exists())
        )

    for pid, arguments in _orphans():
        if any(map(left, arguments)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    regions = [region for region in SHARED_MEMORY.glob(f"{place}-*") if left(region.name)]
    for region in regions:
        region.unlink(missing_ok=True)
    return len(regions)


def _orphans() -> Iterator[tuple[int, list[str]]]:
    """Process id and arguments of every model process whose server is gone; one of them names the server's region."""
    for folder in Path("/proc").glob("[0-9]*"):
        pid = int(folder.name)
        program, *arguments = command_line(pid)
        if program.endswith(MODEL_PROCESS):
            with contextlib.suppress(OSError):  # it has ended
                parent = int((folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
                # A server that still answers what is in flight keeps its model, though its launcher is dead.
                if not command_line(parent)[0].endswith("/tritonserver"):
                    yield pid, arguments


def command_line(pid: int) -> list[str]:
    """Program and arguments of a process; one empty word where it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return [""]
