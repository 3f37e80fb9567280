"""The supervisor starts what dies, waits longer for what keeps dying, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cli import supervisor
from cli.components import Component
from cli.runs import Run
from cli.supervisor import FIRST_WAIT_S, LONGEST_WAIT_S, STABLE_S, Child, Chore, Supervisor, next_wait
from tests.support.processes import alive, wait_until

SLEEPER = "import time; time.sleep(600)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"


@pytest.mark.parametrize(
    ("lived_s", "last_wait_s", "wait_s"),
    [
        (0.0, 0.0, FIRST_WAIT_S),
        (0.0, FIRST_WAIT_S, 2 * FIRST_WAIT_S),
        (0.0, LONGEST_WAIT_S, LONGEST_WAIT_S),
        (STABLE_S - 1, 1.0, 2.0),
        (STABLE_S, LONGEST_WAIT_S, FIRST_WAIT_S),
    ],
)
def test_the_wait_doubles_up_to_a_bound_and_begins_anew_after_a_stable_life(
    lived_s: float, last_wait_s: float, wait_s: float
) -> None:
    assert next_wait(lived_s, last_wait_s) == wait_s


@contextlib.contextmanager
def supervised(folder: Path, **programs: str) -> Iterator[tuple[Supervisor, Callable[[str], Any]]]:
    """Keep programs alive; yields the supervisor and what its state file says of a program."""
    run = Run(folder)
    children = [Child(Component(name, ("-c", program), reports=False)) for name, program in programs.items()]
    kept = Supervisor(run, children)
    thread = threading.Thread(target=kept.keep)
    thread.start()

    def state(name: str) -> Any:
        try:
            return json.loads(run.supervisor_file.read_text("utf-8"))["components"][name]
        except OSError:
            return {"pid": None, "starts": 0}

    try:
        yield kept, state
    finally:
        kept.stopping = True
        thread.join()


def test_a_process_that_dies_is_started_again_and_its_neighbour_is_left_alone(tmp_path: Path) -> None:
    with supervised(tmp_path, dying="raise SystemExit(3)", living=SLEEPER) as (_, state):
        wait_until(lambda: state("dying")["starts"] >= 3, "three starts")
        assert state("living")["starts"] == 1
        assert alive(state("living")["pid"])


def test_what_a_process_says_stands_in_its_own_log_through_all_starts(tmp_path: Path) -> None:
    log = tmp_path / "data" / "logs" / "speaker.log"
    with supervised(tmp_path, speaker="print('here', flush=True)"):
        wait_until(lambda: log.exists() and log.read_text("utf-8").startswith("here\nhere\n"), "two lines")


def test_stopping_ends_every_process_the_deaf_one_too_and_takes_the_state_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "DRAIN_S", 0.2)
    with supervised(tmp_path, polite=SLEEPER, deaf=STUBBORN) as (kept, state):
        log = tmp_path / "data" / "logs" / "deaf.log"
        wait_until(lambda: log.exists() and log.read_text("utf-8") == "deaf\n", "the deaf one to be deaf")
        pids = [state(name)["pid"] for name in ("polite", "deaf")]
        kept.stopping = True
        wait_until(lambda: not any(alive(pid) for pid in pids), "the end of both")
    assert not (tmp_path / "supervisor.json").exists()


def test_a_process_that_just_died_is_not_started_before_its_time(tmp_path: Path) -> None:
    child = Child(Component("late", ("-c", SLEEPER), reports=False), start_at=time.monotonic() + 600)
    assert Supervisor(Run(tmp_path), [child])._look_after(child) is False
    assert child.process is None


def test_a_chore_is_done_again_after_its_time_and_never_twice_at_once(tmp_path: Path) -> None:
    log = tmp_path / "data" / "logs" / "chore.log"
    chore = Chore(Component("chore", ("-c", "print('done', flush=True)"), reports=False), 0.0, 0.0)
    kept = Supervisor(Run(tmp_path), [], [chore])
    thread = threading.Thread(target=kept.keep)
    thread.start()
    try:
        wait_until(lambda: log.exists() and log.read_text("utf-8").startswith("done\ndone\n"), "two times")
    finally:
        kept.stopping = True
        thread.join()
    assert chore.process is not None
    assert chore.process.poll() is not None


def process_of(chore: Chore) -> subprocess.Popen[bytes] | None:
    """Return the chore's process now."""
    return chore.process


def test_a_chore_waits_for_its_time_and_for_the_one_before(tmp_path: Path) -> None:
    early = Chore(Component("chore", ("-c", SLEEPER), reports=False), 0.0, time.monotonic() + 600)
    kept = Supervisor(Run(tmp_path), [], [early])
    kept._see_to(early)
    assert process_of(early) is None
    early.start_at = 0.0
    kept._see_to(early)
    running = process_of(early)
    kept._see_to(early)
    assert running is not None
    assert process_of(early) is running
    kept._drain()
    assert running.poll() is not None
