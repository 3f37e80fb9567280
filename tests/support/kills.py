"""Kills processes at named points and at random, one after the other or a few at once, and keeps the evidence.

A kill counts only if it hit work in flight. At a named point the process itself says so: it dies exactly there. At random it is
frozen first, and killed only if it has unacknowledged work at that moment.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Literal

from inference.model_processes import OURS, model_processes
from runtime.faults import Point
from tests.support.processes import alive, descendants, frozen, wait_until
from tests.support.senders import Ledger
from tests.support.system import System

RANDOM: Literal["random"] = "random"
KILL_S = 600.0
"""seconds until a kill must have hit: the input that leads there may be rare."""
LONGEST_DELAY_S = 2.0
"""seconds that a random kill waits at the most before it looks for work in flight."""
LOOKS_S = 20.0
"""seconds of looking in vain after which a process is held still until work comes: some have done theirs in milliseconds."""
COMES_S = 3.0
"""seconds that it is held: half the session after which a group gives it up."""
LOOK_S = 0.02
"""seconds between two looks for work in flight: less than the shortest piece of work takes."""


@dataclass(frozen=True, slots=True)
class Target:
    """A process to kill.

    Parameters
    ----------
    component
        Its name.
    points
        Named points that it has.
    reads
        Topics whose unacknowledged records are its work in flight; none for a gateway.
    """

    component: str
    points: tuple[Point, ...]
    reads: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Kill:
    """Evidence of one kill.

    Parameters
    ----------
    component, moment
        Who was killed, and where: a named point or `random`.
    died
        Whether the process that was meant is dead, by that kill; its successor was ready before the next was tried.
    in_flight
        Work in flight at that time: unacknowledged records and due deadlines, or requests whose connection broke. A consumer that
        died at a named point had the input that led it there: every point lies between reading and acknowledging.
    """

    component: str
    moment: str
    died: bool
    in_flight: int


class Killer:
    """Carries out a plan of kills against a running system.

    Parameters
    ----------
    system
        Whom to kill.
    ledger
        What senders see of it.
    seed
        Of the order and the random moments.
    """

    def __init__(self, system: System, ledger: Ledger, seed: int) -> None:
        self.kills: list[Kill] = []
        self.failures: list[str] = []
        self._system = system
        self._ledger = ledger
        self._random = random.Random(seed)
        self._locks: dict[str, threading.Lock] = {}

    def carry_out(
        self, targets: Sequence[Target], others: Sequence[Callable[[], Kill]], at_once: int
    ) -> None:
        """Kill every target at each of its points and at random, in rounds, a few processes at the same time."""
        rounds = max(len(target.points) for target in targets)
        jobs: list[Callable[[], Kill]] = []
        for number in range(rounds):
            now = [
                self._at(target, target.points[number]) for target in targets if number < len(target.points)
            ]
            self._random.shuffle(now)
            jobs += now
        last = [*(self._randomly(target) for target in targets), *(self._other(job) for job in others)]
        self._random.shuffle(last)
        with ThreadPoolExecutor(at_once) as pool:
            for done in [pool.submit(self._note, job) for job in (*jobs, *last)]:
                done.result()

    def one_by_one(self, jobs: Sequence[Callable[[], Kill]]) -> None:
        """Do what nothing else may happen beside."""
        for job in jobs:
            self._note(job)

    def _note(self, job: Callable[[], Kill]) -> None:
        try:
            self.kills.append(job())
        except AssertionError as error:
            self.failures.append(str(error))

    def _at(self, target: Target, point: Point) -> Callable[[], Kill]:
        def job() -> Kill:
            with self._alone(target.component):
                return self._kill_at(target, point)

        return job

    def _randomly(self, target: Target) -> Callable[[], Kill]:
        def job() -> Kill:
            with self._alone(target.component):
                return self._kill_at_random(target)

        return job

    def _other(self, job: Callable[[], Kill]) -> Callable[[], Kill]:
        def alone() -> Kill:
            with self._alone("others"):
                return job()

        return alone

    def _alone(self, component: str) -> threading.Lock:
        return self._locks.setdefault(component, threading.Lock())

    def _kill_at(self, target: Target, point: Point) -> Kill:
        system, name = self._system, target.component
        before, pid, broken = system.starts(name), self._living(name), self._ledger.breaks()
        system.arm(name, point)
        wait_until(lambda: system.has_fired(name), f"{name} dies {point}", seconds=KILL_S)
        wait_until(partial(_gone, pid), f"{name} is dead")
        system.wait_started(name, before + 1)
        return Kill(name, point, not alive(pid), 1 if target.reads else self._broken_since(broken))

    def _kill_at_random(self, target: Target) -> Kill:
        system, name = self._system, target.component
        began = time.monotonic()
        time.sleep(self._random.uniform(0, LONGEST_DELAY_S))
        while time.monotonic() < began + KILL_S:
            quick = time.monotonic() > began + LOOKS_S
            if not quick and not self._seems_busy(target):
                continue
            before, pid, broken = system.starts(name), self._living(name), self._ledger.breaks()
            with frozen(pid) as held:
                in_flight = self._work_comes(target, COMES_S if quick else 0.0) if held else 0
                if in_flight:
                    os.kill(pid, signal.SIGKILL)
            if in_flight:
                system.wait_started(name, before + 1)
                if not target.reads:
                    in_flight = self._broken_since(broken)
                return Kill(name, RANDOM, not alive(pid), in_flight)
        raise AssertionError(f"{name} never had work in flight")

    def _living(self, component: str) -> int:
        wait_until(lambda: self._system.pid(component) is not None, f"a process of {component}")
        pid = self._system.pid(component)
        assert pid is not None
        return pid

    def _seems_busy(self, target: Target) -> bool:
        """A look that is soon over: a gateway has answered in a few milliseconds."""
        if target.reads:
            time.sleep(LOOK_S)
            return self._work(target) > 0
        time.sleep(LOOK_S / 10)
        return bool(self._ledger.waiting())

    def _work_comes(self, target: Target, seconds: float) -> int:
        """Work of a process that stands still, which may take so long to come."""
        deadline = time.monotonic() + seconds
        while not (found := self._work(target)) and time.monotonic() < deadline:
            time.sleep(LOOK_S)
        return found

    def _work(self, target: Target) -> int:
        """Unacknowledged records and deadlines of a consumer; requests without an answer at a gateway."""
        if not target.reads:
            waiting = self._ledger.waiting()
            time.sleep(LOOK_S)  # who has been answered by now was answered before
            return len(waiting & self._ledger.waiting())
        return self._system.uncommitted(target.component, target.reads) + self._system.overdue(
            target.component
        )

    def _broken_since(self, before: dict[str, int]) -> int:
        """Requests whose connection broke since then."""
        now = self._ledger.breaks()
        return sum(now[name] > before.get(name, 0) for name in now)


def stub_of(system: System) -> int | None:
    """Process id of the model's process under Triton."""
    launcher = system.pid("triton")
    servers = descendants(launcher) if launcher else []
    return next((pid for server in servers for pid in model_processes(server, OURS)), None)


def kill_stub(system: System, reads: Sequence[str]) -> Kill:
    """Kill Triton's model process while a request waits in it, and wait until another has taken its place."""
    return _kill_while_stuck(system, reads, "triton-stub", lambda: stub_of(system))


def kill_server(system: System, reads: Sequence[str]) -> Kill:
    """Kill the process that keeps Triton, and with it Triton, while a request waits there."""
    return _kill_while_stuck(system, reads, "triton", lambda: system.pid("triton"))


def _kill_while_stuck(
    system: System, reads: Sequence[str], name: str, victim: Callable[[], int | None]
) -> Kill:
    deadline = time.monotonic() + KILL_S
    while time.monotonic() < deadline:
        stub, pid = stub_of(system), victim()
        if stub is None or pid is None:
            time.sleep(0.2)
            continue
        with frozen(stub) as held:
            in_flight = _stuck(system, reads) if held else 0
            if in_flight:
                os.kill(pid, signal.SIGKILL)
        if in_flight:
            _wait_replaced(system, stub)
            wait_until(partial(_gone, pid), f"{name} is dead")
            return Kill(name, RANDOM, not alive(pid) and victim() != pid, in_flight)
    raise AssertionError(f"{name} never had work in flight")


def _gone(pid: int) -> bool:
    return not alive(pid)


def _wait_replaced(system: System, killed: int) -> None:
    wait_until(lambda: stub_of(system) not in (None, killed), "another model process")


def _stuck(system: System, reads: Sequence[str]) -> int:
    """Requests that stay unacknowledged while the model's process stands still, so one of them waits in it; 0 if none comes."""
    for _ in range(20):
        first = system.uncommitted("infer", reads)
        time.sleep(0.2)
        if first and system.uncommitted("infer", reads) >= first:
            return first
    return 0
