"""A supervisor that is killed takes every process along; the next one takes up what was in flight."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.components import Plan
from cli.runs import Run
from runtime.connections import connect
from runtime.settings import load_settings
from schemas.events import Findings, InstanceReceived
from schemas.rows import StudyRow
from tests.support.processes import WAIT_S, descendants, wait_until, wait_until_gone
from tests.support.senders import Department, ct, xray
from tests.support.system import System
from tests.support.verdict import gather, judge

SITE = "north"
RUN = "up"


def radstream(home: Path, *arguments: str) -> str:
    """Run the command line as a person does."""
    done = subprocess.run(
        [sys.executable, "-m", "cli", *arguments],
        env=os.environ | {"RADSTREAM_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def up(home: Path) -> System:
    """Start everything, or take it up again; a reader's view of it."""
    radstream(home, "up", "--run", RUN, "--site", SITE)
    run = Run(home / RUN)
    settings = load_settings({"RADSTREAM_SETTINGS": str(run.settings_file)})
    return System(run, settings, Plan(), connect(settings, "cli"))


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    radstream(tmp_path, "down")


def test_a_killed_supervisor_leaves_no_process_and_loses_nothing(home: Path) -> None:
    first = up(home)
    department = Department(first.stow, {SITE: first.token(SITE)}, 2)
    for study in (ct(1, SITE, slices=3, requests=1), xray(1, SITE, alerting=False)):
        department.send(study)
    department.finish()
    assert first.events("instance.received.v1", InstanceReceived)
    supervisor = first.run.supervisor_pid()
    assert supervisor is not None
    everything = descendants(supervisor)
    assert len(everything) >= len(first.components())
    wait_until(
        lambda: first.pending("assemble_study") == len(department.ledger.sent), "two open quiet windows"
    )
    first.kill_supervisor()
    wait_until_gone(everything)
    first.connections.close()

    second = up(home)
    keys = [second.study_key(SITE, sent.study_uid) for sent in department.ledger.sent]

    def finished() -> bool:
        rows = [second.connections.tables.get(StudyRow, site=SITE, study=key) for key in keys]
        return all(row is not None and row.status == "complete" and row.urgency is not None for row in rows)

    wait_until(finished, "results of what was in flight")
    assert {event.envelope.study for event in second.events("findings.v1", Findings)} == set(keys)
    wait_until(lambda: judge(gather(second, department.ledger)) == [], "nothing lost or doubled")
    second.connections.close()
