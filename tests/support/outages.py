"""What happens to a cluster beside killed processes: engines die and come back, a worker stands still, a step is scaled."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from cli.components import SERVER
from cli.plan import write_plan
from deploy.local.servers import NAMES
from runtime.ports import Partition
from tests.support.cluster import Engines
from tests.support.kills import KILL_S, RANDOM, Kill
from tests.support.processes import alive, frozen, wait_until
from tests.support.raw import ClusterRaw
from tests.support.readers import topics_read
from tests.support.system import System

DOWN_S = 3.0
"""seconds that an engine is away at the least: some are back before anybody has missed them."""
ZOMBIE = "zombie"
"""Moment of a worker that stands still until others have its work, and then goes on."""
MOST_WORKERS, LAST_WORKERS = 3, 2
"""Workers of the scaled step when there are most, and at the end."""


def engine_kills(system: System) -> list[Callable[[], Kill]]:
    """Kill each engine with work in flight, once, and bring it back; each ends when work goes on."""
    return [partial(_kill_engine, system, name) for name in NAMES]


def _kill_engine(system: System, name: str) -> Kill:
    engines, in_flight = _engines(system), 0
    pid = engines.pid(name)
    deadline = time.monotonic() + KILL_S
    while in_flight == 0 and time.monotonic() < deadline:
        in_flight = _in_flight(system)
    engines.kill(name)
    gone = not alive(pid)
    time.sleep(DOWN_S)
    engines.start(name)
    before = _committed(system)
    wait_until(lambda: _committed(system) > before, f"work goes on after {name}", seconds=KILL_S)
    return Kill(f"{SERVER}{name}", RANDOM, gone, in_flight)


def scale_and_freeze(system: System, step: str) -> Kill:
    """Run three workers of a step, hold one still past its session while it has work, let it go on, and run two.

    The zombie goes on with what it had in hand when others have long done it.
    """
    raw, reads = system.cluster, topics_read()[step]
    _scale(system, step, MOST_WORKERS)
    victim = f"{step}-{MOST_WORKERS}"
    wait_until(lambda: len(set(raw.owners(step).values())) == MOST_WORKERS, "every worker has partitions")
    deadline = time.monotonic() + KILL_S
    while time.monotonic() < deadline:
        pid = system.pid(victim)
        assert pid is not None
        with frozen(pid) as held:
            theirs = {where for where, owner in raw.owners(step).items() if owner == victim}
            in_flight = sum(raw.behind(step, reads)[where] for where in theirs) if held else 0
            if in_flight:
                _wait_taken_over(raw, step, victim, theirs, reads)
        if in_flight:
            wait_until(lambda: victim in raw.owners(step).values(), f"{victim} is a member again")
            _scale(system, step, LAST_WORKERS)
            wait_until(
                lambda: set(raw.owners(step).values()) == {step, f"{step}-{LAST_WORKERS}"},
                "two workers share everything",
            )
            return Kill(step, ZOMBIE, not alive(pid), in_flight)
        time.sleep(0.02)
    raise AssertionError(f"{victim} never had work in flight")


def _wait_taken_over(
    raw: ClusterRaw, step: str, victim: str, theirs: set[Partition], reads: tuple[str, ...]
) -> None:
    """Return when the group has given a silent member up and others have done what it had."""
    wait_until(lambda: victim not in raw.owners(step).values(), f"{victim} has lost its partitions")

    def done() -> bool:
        behind = raw.behind(step, reads)
        return not any(behind[where] for where in theirs)

    wait_until(done, f"others did the work of {victim}")


def _scale(system: System, step: str, workers: int) -> None:
    """Have so many workers, ready, and no process of another."""
    known = system.components()
    wanted = {step, *(f"{step}-{number}" for number in range(2, workers + 1))}
    gone = [each["pid"] for name, each in known.items() if each["component"] == step and name not in wanted]
    system.plan = replace(system.plan, workers={**system.plan.workers, step: workers})
    write_plan(system.run, system.plan)
    for name in wanted:
        system.wait_started(name, 1)
    wait_until(lambda: not any(alive(pid) for pid in gone if pid), f"{workers} workers of {step} and no more")


def _in_flight(system: System) -> int:
    """Unacknowledged records of all consumers."""
    return sum(system.uncommitted(name, topics) for name, topics in topics_read().items())


def _committed(system: System) -> int:
    """Records that the last consumers of the way have acknowledged: what they can only do with every engine there."""
    raw = system.cluster
    return raw.acknowledged("tables", topics_read()["tables"])


def _engines(system: System) -> Engines:
    assert system.engines is not None
    return system.engines
