"""Starts the servers of a place, waits until each is well, and stops them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn, Protocol

from deploy.local.cassandra import Cassandra
from deploy.local.kafka import Kafka
from deploy.local.objects import ObjectStore
from deploy.local.place import Place, answers
from deploy.local.registry import SchemaRegistry
from runtime.parent import PARENT_DEATH_VARIABLE, die_with_parent

NAMES = ("objects", "kafka", "registry", "cassandra")
"""Every server, the quickest first."""
NEEDS = {"registry": ("kafka",)}
"""The servers that must be well before another starts."""
READY_TIMEOUT_S = 600.0
"""Seconds until a server must answer: they take 10 to 30 on two idle cores, and ten times that on two that others use."""
STOP_TIMEOUT_S = 30.0
"""Seconds a server may take to stop before it is killed: Cassandra needs 5."""
LOOK_S = 0.1
"""Seconds between two looks."""
PLACE_VARIABLE = "RADSTREAM_PLACE"
"""Set in every server's environment, so that a process is known to be one of that place."""
LAST_LINES = 15
"""Lines of a server's log that say why it did not start."""


class NotStartedError(Exception):
    """A server did not become well; the message has the last lines of its log."""


class Server(Protocol):
    """What every server file describes."""

    @property
    def name(self) -> str:
        """Name of the server, its data folder and its log."""
        ...

    @property
    def ports(self) -> tuple[int, ...]:
        """Ports it listens on."""
        ...

    def command(self) -> list[str]:
        """Write the files it reads and return its command line."""
        ...

    def environment(self) -> dict[str, str]:
        """Variables it reads."""
        ...

    def is_ready(self) -> bool:
        """Whether it answers as a client would want it to."""
        ...


def servers(place: Place) -> dict[str, Server]:
    """Every server of a place by its name."""
    found: list[Server] = [ObjectStore(place), Kafka(place), SchemaRegistry(place), Cassandra(place)]
    return {server.name: server for server in found}


def with_needs(names: Sequence[str]) -> list[str]:
    """These servers and those they need, in the order of `NAMES`."""
    wanted = set(names) | {need for name in names for need in NEEDS.get(name, ())}
    return [name for name in NAMES if name in wanted]


def become(place: Place, name: str) -> NoReturn:
    """Turn this process into a server of the place, once what it needs is well.

    Raises
    ------
    NotStartedError
        A port is taken, or a server it needs does not become well.
    """
    die_with_parent()
    every = servers(place)
    server = every[name]
    require_free(server)
    deadline = time.monotonic() + READY_TIMEOUT_S
    while not all(every[need].is_ready() for need in NEEDS.get(name, ())):
        if time.monotonic() > deadline:
            raise NotStartedError(f"{name} needs {', '.join(NEEDS[name])}, which did not start")
        time.sleep(LOOK_S)
    command = server.command()
    os.execve(  # noqa: S606 no shell
        command[0], command, os.environ | server.environment() | {PLACE_VARIABLE: str(place.folder)}
    )


def command_of(place: Place, name: str) -> list[str]:
    """Command line of a process that becomes that server."""
    return [sys.executable, "-m", "deploy.local", "serve", name, "--folder", str(place.folder)]


def require_free(server: Server) -> None:
    """Raise NotStartedError when a port is taken: whoever answers there is not this server."""
    for port in server.ports:
        if answers(port):
            raise NotStartedError(f"{server.name} needs port {port}, which another process has taken")


def start(place: Place, name: str, *, dies_with_us: bool) -> subprocess.Popen[bytes]:
    """Start a server in a session of its own; its words go to its log. NotStartedError when a port is taken."""
    require_free(servers(place)[name])
    log = place.log(name)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            command_of(place, name),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=os.environ | {PARENT_DEATH_VARIABLE: "1" if dies_with_us else "0"},
            start_new_session=True,
        )


def wait_ready(place: Place, processes: dict[str, subprocess.Popen[bytes]]) -> None:
    """Return when each of these servers is well.

    Raises
    ------
    NotStartedError
        One ended, or did not answer in time.
    """
    every, waiting = servers(place), dict(processes)
    deadline = time.monotonic() + READY_TIMEOUT_S
    while waiting:
        for name, process in list(waiting.items()):
            if process.poll() is not None:
                raise NotStartedError(f"{name} ended while it started:\n{last_lines(place.log(name))}")
            if every[name].is_ready():
                del waiting[name]
        if time.monotonic() > deadline:
            name = next(iter(waiting))
            raise NotStartedError(f"{name} does not answer:\n{last_lines(place.log(name))}")
        time.sleep(LOOK_S)


def last_lines(log: Path) -> str:
    """What a server said last."""
    try:
        return "\n".join(log.read_text("utf-8", "replace").splitlines()[-LAST_LINES:])
    except OSError:
        return ""


@dataclass(slots=True)
class Servers:
    """Servers of one place that live as long as this process."""

    place: Place
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, names: Sequence[str]) -> None:
        """Start those that do not run, with what they need, and wait until all are well."""
        alive = {name for name, process in self.processes.items() if process.poll() is None}
        fresh = [name for name in with_needs(names) if name not in alive]
        started = {name: start(self.place, name, dies_with_us=True) for name in fresh}
        self.processes |= started
        wait_ready(self.place, started)

    def kill(self, name: str) -> None:
        """End a server as a power cut would; `start` brings it back."""
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def stop(self) -> None:
        """Stop all: those that need others first."""
        for name in sorted(self.processes, key=NAMES.index, reverse=True):
            self.processes[name].terminate()
        for process in self.processes.values():
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes.clear()


def _pids_file(place: Place) -> Path:
    return place.folder / "pids.json"


def up(place: Place, names: Sequence[str]) -> None:
    """Start servers that outlive this process, and wait until all are well."""
    fresh = [name for name in with_needs(names) if name not in running(place)]
    started = {name: start(place, name, dies_with_us=False) for name in fresh}
    pids = running(place) | {name: process.pid for name, process in started.items()}
    _pids_file(place).write_text(json.dumps(pids), "utf-8")
    wait_ready(place, started)


def running(place: Place) -> dict[str, int]:
    """Process ids of the servers that `up` started here and that still run."""
    try:
        pids: dict[str, int] = json.loads(_pids_file(place).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return {name: pid for name, pid in pids.items() if _is_of(place, pid)}


def _is_of(place: Place, pid: int) -> bool:
    """Whether that process is a server of this place: process ids are used again."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return (
        f"{PLACE_VARIABLE}={place.folder}\0".encode() in environment or str(place.folder).encode() in command
    )


def down(place: Place) -> list[str]:
    """Stop the servers that `up` started here, and return their names."""
    pids = running(place)
    for pid in pids.values():
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while left := running(place):
        if time.monotonic() > deadline:
            for pid in left.values():
                os.kill(pid, signal.SIGKILL)
        time.sleep(LOOK_S)
    _pids_file(place).unlink(missing_ok=True)
    return list(pids)
