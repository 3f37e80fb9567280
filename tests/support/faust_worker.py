"""A worker of one small step on real Kafka, in a process of its own: the log is Kafka, the other ports are embedded.

`python -m tests.support.faust_worker NAME TOPIC` with `RADSTREAM_SETTINGS`: the step echoes each received instance as an audit
event.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from runtime import connections as connecting
from runtime import process
from runtime.audit import audit_event
from runtime.buckets import RESULTS
from runtime.connections import Connections, Engines
from runtime.embedded.objects import EmbeddedObjects
from runtime.embedded.registry import EmbeddedRegistry
from runtime.embedded.tables import EmbeddedTables
from runtime.errors import DeadLetterError, StopError
from runtime.kafka import KafkaLog
from runtime.outcomes import Policy
from runtime.settings import Settings
from schemas.events import InstanceReceived
from stream_processors import app
from stream_processors.step import Deadline, DeadlineReached, Output, Step, StepContext

SOURCE, SINK = "instance.received.v1", "audit.v1"


SLOW_S = 2.0
"""Seconds of a slow event: enough for others to finish, and for a test to kill the worker meanwhile."""
SIZES = {"large": 2_000_000, "sizable": 700_000}
"""Bytes: more than any topic takes; more than a topic takes whose limit is low."""


async def run(event: InstanceReceived | DeadlineReached, context: StepContext) -> AsyncIterator[Output]:
    """Echo an instance; what its event id begins with may ask for more."""
    if isinstance(event, DeadlineReached):
        yield audit_event(
            context.envelope(event, "echo", event.name), [event.name], "echo", "test", actor="echo"
        )
        return
    subject = event.envelope.event_id
    if subject.startswith("poison"):
        raise DeadLetterError("poison")
    if subject.startswith("surprise"):
        raise ZeroDivisionError
    if subject.startswith("stop"):
        raise StopError("asked to")
    if subject.startswith("slow"):
        await asyncio.sleep(SLOW_S)
    if subject.startswith("later"):
        now = context.clock.now()
        yield Deadline(
            site=event.envelope.site, study=event.envelope.study, name=subject, due_at=now + 500_000
        )
    await context.io(context.objects.put, RESULTS, subject, b"effect")
    purpose = "x" * SIZES.get(subject.partition("-")[0], 0) or "test"
    yield audit_event(context.envelope(event, "echo", subject), [subject], "echo", purpose, actor="echo")


ECHO = Step(summary="Echoes.", reads=(SOURCE,), emits=(SINK,), run=run, sets_deadlines=True)
QUICK = Policy(attempts=3, surprises=2, first_pause_s=0.01, longest_pause_s=0.05)


def engines(settings: Settings) -> Engines:
    """Kafka's log beside the embedded ports."""
    folder: Path = settings.data
    folder.mkdir(parents=True, exist_ok=True)
    assert settings.cluster is not None
    return Engines(
        log=KafkaLog(settings.cluster.kafka),
        objects=EmbeddedObjects(folder / "objects"),
        tables=EmbeddedTables(folder / "tables"),
        registry=EmbeddedRegistry(folder / "registry"),
    )


def main(name: str, source: str) -> None:
    """Run the step on Faust, under a name of its own."""

    async def work(connections: Connections, stop: process.Stop) -> None:
        await app.run(name, replace(ECHO, reads=(source,)), connections, stop, policy=QUICK)

    connecting.engines = engines
    process.run(name, work)


if __name__ == "__main__":
    main(*sys.argv[1:])
