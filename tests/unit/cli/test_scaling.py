"""The supervisor follows the plan on disk: workers come and go, the others are left in peace."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli import supervisor
from cli.components import Component, Plan, workers
from cli.plan import read_plan, write_plan
from cli.runs import Run
from cli.supervisor import Supervisor
from runtime.connections import INSTANCE_VARIABLE
from tests.support.processes import alive, wait_until

SAYS_WHO = f"import os, time; print(os.environ['{INSTANCE_VARIABLE}'], flush=True); time.sleep(600)"


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    """A supervisor of one component and one engine, turned by hand."""
    engine = Component("server-kafka", ("-c", "import time; time.sleep(600)"), reports=False)
    reader = Component("infer", ("-c", SAYS_WHO))
    monkeypatch.setattr(
        supervisor, "components", lambda _, plan: [engine, *workers(reader, plan.workers.get("infer", 1))]
    )
    monkeypatch.setattr(supervisor, "load_settings", lambda: None)
    made = Supervisor(Run(tmp_path))
    write_plan(made.run, Plan())
    yield made
    made._drain()


def turn(kept: Supervisor) -> dict[str, int]:
    """One round of the supervisor; process ids by name."""
    kept._follow_plan()
    for child in kept.children:
        kept._look_after(child)
    kept._see_off()
    return {child.component.name: child.process.pid for child in kept.children if child.process}


def test_ours_wait_until_topics_and_tables_are_there(kept: Supervisor) -> None:
    assert set(turn(kept)) == {"server-kafka"}

    kept.prepared = True

    assert set(turn(kept)) == {"server-kafka", "infer"}


def test_more_workers_leave_those_that_work_in_peace(kept: Supervisor) -> None:
    kept.prepared = True
    before = turn(kept)

    write_plan(kept.run, Plan(workers={"infer": 3}))
    after = turn(kept)

    assert set(after) == {"server-kafka", "infer", "infer-2", "infer-3"}
    assert before.items() <= after.items()
    log = kept.run.data / "logs" / "infer-3.log"
    wait_until(lambda: log.read_text() == "3\n", "the third worker knows its number")


def test_fewer_workers_are_asked_to_end_and_not_started_again(kept: Supervisor) -> None:
    kept.prepared = True
    write_plan(kept.run, Plan(workers={"infer": 3}))
    before = turn(kept)

    write_plan(kept.run, Plan(workers={"infer": 2}))
    after = turn(kept)

    assert after.items() == before.items() - {("infer-3", before["infer-3"])}
    wait_until(lambda: turn(kept) == after and not kept.leaving, "the third worker is seen off")
    assert not alive(before["infer-3"])


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert read_plan(run) == Plan()
    plan = Plan(triton=sys.prefix, triton_http_port=1, receiver_port=2, servers=True, workers={"tables": 2})

    write_plan(run, plan)

    assert read_plan(run) == plan
