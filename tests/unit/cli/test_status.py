"""What the status command says of processes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from cli import launch, status
from cli.runs import Run
from cli.status import lag_of, processes
from runtime.embedded.log import EmbeddedLog
from runtime.ports import OutgoingRecord, Record


@pytest.fixture
def log(tmp_path: Path) -> EmbeddedLog:
    made = EmbeddedLog(tmp_path / "log")
    made.create_topics({"a": 2, "b": 1})
    producer = made.producer("test")
    producer.send([OutgoingRecord("a", bytes([n]), b"x", ()) for n in range(5)])
    producer.send([OutgoingRecord("b", b"k", b"x", ())])
    return made


def test_what_was_never_acknowledged_counts_as_lag(log: EmbeddedLog) -> None:
    assert lag_of(log, "reader", ["a", "b"]) == 6
    assert lag_of(log, "reader", ["b"]) == 1
    assert lag_of(log, "reader", []) == 0


def test_what_was_acknowledged_does_not(log: EmbeddedLog) -> None:
    consumer = log.consumer("reader", ["a"], "reader")
    read: list[Record] = []
    while len(read) < 5:
        read += consumer.poll(10, 1.0)
    for number, end in log.end_offsets("a").items():
        consumer.commit({("a", number): max(end - 1, 0)})
    assert lag_of(log, "reader", ["a", "b"]) == 1 + sum(end > 0 for end in log.end_offsets("a").values())
    consumer.close()


def test_a_run_without_a_supervisor_has_no_processes(tmp_path: Path, log: EmbeddedLog) -> None:
    assert processes(Run(tmp_path / "none"), log) == []


def test_processes_are_down_not_ready_or_ready(
    tmp_path: Path, log: EmbeddedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path / "run")
    run.path.mkdir()
    kept = {"pid": os.getpid(), "starts": 1, "reports": True}
    children = {
        "stow": kept,
        "portal": kept,
        "infer": kept | {"pid": None, "starts": 4},
        "triton": kept | {"reports": False},
    }
    run.supervisor_file.write_text(json.dumps({"pid": os.getpid(), "components": children}))
    monkeypatch.setattr(launch, "is_ready", lambda _run, name, _client: name == "stow")
    monkeypatch.setattr(status, "reads", lambda name: ["a"] if name == "infer" else ["no"])
    told = {each.name: each for each in processes(run, log)}
    assert {name: each.state for name, each in told.items()} == {
        "stow": "ready",
        "portal": "not ready",
        "infer": "down",
        "triton": "ready",
    }
    assert (told["infer"].pid, told["infer"].starts, told["infer"].lag) == (0, 4, 5)
    assert told["stow"].lag is None
