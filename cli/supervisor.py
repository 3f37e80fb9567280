"""Starts a run's processes, starts again the ones that die, and stops them all: `python -m cli.supervisor RUN_FOLDER`.

It does what systemd, Compose or Kubernetes do elsewhere, and nothing more. Children die with it (`PR_SET_PDEATHSIG`).
"""

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

from cli.components import Component, components
from cli.plan import read_plan
from cli.runs import Run
from runtime.connections import INSTANCE_VARIABLE
from runtime.parent import dying_with
from runtime.settings import load_settings

FIRST_WAIT_S = 0.1
"""Seconds before a dead process is started again; doubles while it keeps dying."""
LONGEST_WAIT_S = 5.0
"""Seconds between starts at the most."""
STABLE_S = 10.0
"""A process that lived so many seconds is healthy again: the wait starts from the beginning."""
DRAIN_S = 15.0
"""Seconds a process may take to drain before it is killed."""
RETENTION = Component("retention", ("-m", "runtime.retention"), reports=False)
"""Removes what is older than its topic keeps, and ends."""
DAY_S = 86_400.0
"""Seconds between two runs of it: retention is given in hours, and a day late loses nothing."""
SETTLED_S = 60.0
"""Seconds after the start before its first run: the processes come first."""
SERVER_STOP_S = 20.0
"""Seconds an engine may take to stop before it is killed: Cassandra takes 5, and nothing confirmed is lost either way."""
TICK_S = 0.05
"""Seconds between looks at the processes."""


def next_wait(lived_s: float, last_wait_s: float) -> float:
    """Seconds to wait before a process that lived so long is started again."""
    if lived_s >= STABLE_S:
        return FIRST_WAIT_S
    return min(max(last_wait_s * 2, FIRST_WAIT_S), LONGEST_WAIT_S)


@dataclass(slots=True)
class Child:
    """A component and its process, if it has one now."""

    component: Component
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    wait_s: float = 0.0
    start_at: float = 0.0
    starts: int = 0


@dataclass(frozen=True, slots=True)
class Leaving:
    """A process that was asked to end, and until when it may take (`time.monotonic`)."""

    process: subprocess.Popen[bytes]
    deadline: float


@dataclass(slots=True)
class Chore:
    """A process that is started every so often and ends by itself."""

    component: Component
    every_s: float
    start_at: float
    process: subprocess.Popen[bytes] | None = None


@dataclass(slots=True)
class Supervisor:
    """Keeps the processes of one run alive.

    Parameters
    ----------
    run
        The run folder.
    children
        What to keep alive.
    chores
        What to start now and then.
    leaving
        What the plan has no more.
    """

    run: Run
    children: list[Child] = field(default_factory=list)
    chores: list[Chore] = field(default_factory=list)
    leaving: list[Leaving] = field(default_factory=list)
    stopping: bool = field(default=False)
    prepared: bool = field(default=False)
    plan_at: int = field(default=0)

    def keep(self) -> None:
        """Start and restart processes until told to stop, then drain them."""
        while not self.stopping:
            changed = self._follow_plan()
            self.prepared = self.prepared or self.run.prepared_file.exists()
            for child in self.children:
                changed = self._look_after(child) or changed
            self._see_off()
            if changed:
                self._write_state()
            for chore in self.chores:
                self._see_to(chore)
            time.sleep(TICK_S)
        self._drain()

    def _see_to(self, chore: Chore) -> None:
        """Start the chore if it is due and the last one has ended."""
        now = time.monotonic()
        if now < chore.start_at or (chore.process is not None and chore.process.poll() is None):
            return
        chore.process = self._start(chore.component)
        chore.start_at = now + chore.every_s

    def _follow_plan(self) -> bool:
        """Have as many processes as the plan wants now; whether that has changed."""
        try:
            changed_at = self.run.plan_file.stat().st_mtime_ns
        except FileNotFoundError:
            return False
        if changed_at == self.plan_at:
            return False
        self.plan_at = changed_at
        there = {child.component.name: child for child in self.children}
        wanted = components(load_settings(), read_plan(self.run))
        self.children = [there.pop(each.name) if each.name in there else Child(each) for each in wanted]
        for child in there.values():
            if child.process is not None:
                child.process.terminate()
                self.leaving.append(Leaving(child.process, time.monotonic() + DRAIN_S))
        return True

    def _see_off(self) -> None:
        """Let processes that the plan has no more drain, and kill those that do not."""
        for each in self.leaving:
            if each.process.poll() is None and time.monotonic() > each.deadline:
                each.process.kill()
        self.leaving = [each for each in self.leaving if each.process.poll() is None]

    def _look_after(self, child: Child) -> bool:
        """Start the child if it is due; whether anything changed."""
        now = time.monotonic()
        if child.process is not None:
            if child.process.poll() is None:
                return False
            child.wait_s = next_wait(now - child.started, child.wait_s)
            child.start_at = now + child.wait_s
            child.process = None
            return True
        if now < child.start_at or (child.component.reports and not self.prepared):
            return False
        child.process = self._start(child.component)
        child.started = now
        child.starts += 1
        return True

    def _start(self, component: Component) -> subprocess.Popen[bytes]:
        logs = self.run.data / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        environment = os.environ | {
            "RADSTREAM_SETTINGS": str(self.run.settings_file),
            "OMP_NUM_THREADS": "1",
            INSTANCE_VARIABLE: component.instance,
        }
        with (logs / f"{component.name}.log").open("ab") as log:
            return subprocess.Popen(
                component.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
                preexec_fn=dying_with(os.getpid()),  # noqa: PLW1509 - this process has one thread
            )

    def _write_state(self) -> None:
        state = {
            "pid": os.getpid(),
            "components": {
                child.component.name: {
                    "pid": child.process.pid if child.process else None,
                    "starts": child.starts,
                    "reports": child.component.reports,
                    "component": child.component.component,
                }
                for child in self.children
            },
        }
        temporary = self.run.supervisor_file.with_suffix(".new")
        temporary.write_text(json.dumps(state, indent=1), "utf-8")
        temporary.replace(self.run.supervisor_file)

    def _drain(self) -> None:
        """Stop ours, so that what is in flight still arrives, then the engines, those that need others first."""
        ours = [child.process for child in self.children if child.process and not child.component.is_server]
        ours += [chore.process for chore in self.chores if chore.process]
        engines = [child.process for child in self.children if child.process and child.component.is_server]
        stop([*ours, *(each.process for each in self.leaving)], DRAIN_S)
        stop(engines[::-1], SERVER_STOP_S)
        self.run.supervisor_file.unlink(missing_ok=True)


def stop(processes: Sequence[subprocess.Popen[bytes]], patience_s: float) -> None:
    """Ask processes to end, and kill those that have not after so many seconds."""
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + patience_s
    for process in processes:
        try:
            process.wait(max(deadline - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def main(arguments: list[str]) -> int:
    """Supervise the run in the folder named first, by its plan."""
    run = Run(Path(arguments[0]))
    os.environ["RADSTREAM_SETTINGS"] = str(run.settings_file)
    supervisor = Supervisor(run, chores=[Chore(RETENTION, DAY_S, time.monotonic() + SETTLED_S)])

    def end(*_: object) -> None:
        supervisor.stopping = True

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    supervisor.keep()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
