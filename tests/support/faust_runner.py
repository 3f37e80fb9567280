"""A step on Faust without Kafka: what was assigned and read is what a test says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runtime.settings import ClusterSettings
from stream_processors.app import _Runner
from stream_processors.deadlines import Deadlines
from stream_processors.inputs import Input
from stream_processors.running import Bound
from stream_processors.step import Output, Step
from tests.support.installation import connections

URGENT, ROUTINE = "inference.requested.stat.v1", "inference.requested.routine.v1"
CLUSTER = ClusterSettings.model_validate(
    {
        "kafka": {"bootstrap": "127.0.0.1:9"},
        "registry": {"url": "http://127.0.0.1:9"},
        "cassandra": {"contact_points": ["127.0.0.1"], "user": "env:U", "password": "env:P"},
        "s3": {"endpoint": "http://127.0.0.1:9", "access_key": "env:A", "secret_key": "env:S"},
    }
)


async def nothing(event: Any, context: Any) -> AsyncIterator[Output]:
    """Emit nothing."""
    outputs: tuple[Output, ...] = ()
    for output in outputs:
        yield output


STEP = Step(summary="Does nothing.", reads=(URGENT, ROUTINE), emits=(), run=nothing, uses_inference=True)


@dataclass
class Noting:
    """A binder that notes what it is given."""

    batches: list[list[str]] = field(default_factory=list)
    error: Exception | None = None

    async def bind(self, inputs: Sequence[Input], acknowledge: Any) -> None:
        """Note them, or fail."""
        if self.error:
            raise self.error
        self.batches.append([f"{each.topic}@{each.offset}" for each in inputs])  # type: ignore[union-attr]


@pytest.fixture
async def runner(tmp_path: Path) -> AsyncIterator[_Runner]:
    """The step on Faust, with nothing started."""
    made = connections(tmp_path, "infer")
    made = replace(made, settings=made.settings.model_copy(update={"cluster": CLUSTER}))
    deadlines = Deadlines(made.tables, "infer", made.clock)
    yield _Runner(Bound("infer", STEP, made, Noting(), deadlines))  # type: ignore[arg-type]
    made.close()


def event(topic: str, offset: int, generation: int = 1) -> Any:
    """What an agent is given."""
    return SimpleNamespace(
        message=SimpleNamespace(
            topic=topic, partition=0, offset=offset, key=b"k", value=b"v", headers=[("a", b"b")],
            timestamp=1_700_000_000.123, generation_id=generation,
        )
    )  # fmt: skip


def bring(runner: _Runner, topic: str, *offsets: int, generation: int = 1) -> None:
    """What Faust hands out and an agent has carried."""
    runner.app.consumer_generation_id = 1
    for offset in offsets:
        if generation == 1:
            runner.ledger.hand_out((topic, 0), offset, 1)
        runner.lanes[STEP.reads.index(topic)].put_nowait(event(topic, offset, generation))
