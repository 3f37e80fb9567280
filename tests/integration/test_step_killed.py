"""A step's process killed at each of its points, with work in flight: nothing lost, nothing doubled, order kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runtime.connections import Connections
from runtime.settings import SETTINGS_VARIABLE
from schemas.codec import decode
from schemas.topics import dead_letter_topic
from tests.support.installation import connections, received, settings
from tests.support.offsets import committed as committed_offsets

SOURCE, SINK = "instance.received.v1", "audit.v1"
EVENTS, STUDIES = 600, 12

STEP = """
from runtime.audit import audit_event
from schemas.identifiers import event_id
from stream_processors.step import Step


async def run(event, context):
    subject = event.envelope.event_id
    await context.io(context.objects.put, "results", subject, b"effect")
    envelope = context.envelope(event, "echo", subject)
    yield audit_event(envelope, [subject], "echo", "test", actor="echo")


STEP = Step(summary="Echoes.", reads=("instance.received.v1",), emits=("audit.v1",), run=run)
"""
PROGRAM = """
import sys
from stream_processors import steps
steps.__path__.append(sys.argv[1])
from stream_processors.__main__ import main
main(["echo"])
"""


@contextmanager
def running(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, SETTINGS_VARIABLE: str(folder / "settings.toml")}
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(folder / "steps")], env=environment, stderr=log
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def until(done: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    while not done():
        assert process.poll() is None, "the process ended by itself"
        time.sleep(0.02)


def committed(made: Connections) -> int:
    return sum(committed_offsets(made.log, "echo", SOURCE).values())


def send(made: Connections, first: int) -> None:
    made.publisher.publish(
        [(SOURCE, received(n % STUDIES, f"event-{n:05}")) for n in range(first, first + EVENTS)]
    )


@pytest.mark.parametrize("point", ["after-effect", "after-publish", "before-acknowledge", "anywhere"])
def test_a_killed_step_loses_nothing_and_doubles_nothing(tmp_path: Path, point: str) -> None:
    (tmp_path / "steps").mkdir()
    (tmp_path / "steps" / "echo.py").write_text(STEP)
    made = connections(tmp_path, "echo")
    settings(tmp_path).write(tmp_path / "settings.toml")
    send(made, 0)
    order = tmp_path / "data" / "faults" / "echo"
    order.parent.mkdir(parents=True)
    with running(tmp_path) as process:
        if point == "anywhere":
            until(lambda: any(made.objects.keys("results")), process)
            process.send_signal(signal.SIGKILL)
        else:
            order.write_text(f"{point} 1")
        assert process.wait() == -signal.SIGKILL
    assert committed(made) < EVENTS, "the kill hit no work in flight"
    send(made, EVENTS)
    with running(tmp_path) as process:
        until(lambda: committed(made) == 2 * EVENTS, process)
        process.terminate()
        assert process.wait() == 0
    wanted = {f"event-{n:05}" for n in range(2 * EVENTS)}
    assert {info.key for info in made.objects.keys("results")} == wanted
    came: dict[str, str] = {}
    for number in range(made.log.topics()[SINK]):
        order_of: dict[str, list[str]] = {}
        for record in made.log.read(SINK, number, 0, 10_000):
            event = decode(record.value, made.registry)
            (subject,) = event.subjects  # type: ignore[union-attr]
            assert came.setdefault(event.envelope.event_id, subject) == subject
            order_of.setdefault(event.envelope.study, []).append(subject)
        for subjects in order_of.values():
            first = list(dict.fromkeys(subjects))
            assert first == sorted(first)
    assert sorted(came.values()) == sorted(wanted)
    assert made.log.end_offsets(dead_letter_topic("echo")) == {0: 0}
    made.close()
