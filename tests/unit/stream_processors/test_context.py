from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.errors import StopError
from schemas.events import AuditEvent, Hop
from stream_processors.context import Context, workbench
from stream_processors.inputs import deadline_row, origin_of, reached
from stream_processors.step import Deadline
from tests.support.installation import connections, received, study


class Doubles:
    name = "doubling"

    def announce(self, model: str, priority: int) -> AbstractContextManager[None]:
        del model, priority
        return nullcontext()

    async def infer(
        self, model: str, tensors: NDArray[Any], priority: int
    ) -> Mapping[str, NDArray[np.float32]]:
        return {model: (tensors * 2 * priority).astype(np.float32)}

    async def probe(self) -> None:
        return


def context(folder: Path, inference: Doubles | None = None) -> Context:
    made = connections(folder, "deidentify")
    return workbench(made, inference).context_for(origin_of(received(1, "cause")))


def test_an_output_has_the_same_id_again_and_another_for_another_identity(tmp_path: Path) -> None:
    here = context(tmp_path)
    cause = received(1, "cause")
    first = here.envelope(cause, "StudyState", "1")
    assert here.envelope(cause, "StudyState", "1").event_id == first.event_id
    others = [
        here.envelope(cause, "StudyState", "2"),
        here.envelope(received(2, "cause"), "StudyState", "1"),
        here.envelope(received(1, "cause", site="south"), "StudyState", "1"),
    ]
    assert len({first.event_id, *(each.event_id for each in others)}) == 4


def test_an_output_continues_the_trail_of_its_cause(tmp_path: Path) -> None:
    cause = received(1, "cause")
    found = context(tmp_path).envelope(cause, "x", occurred_at=5)
    assert (found.correlation_id, found.causation_id) == ("correlation of cause", "cause")
    assert found.hops == (*cause.envelope.hops, Hop(name="deidentify", at=found.recorded_at))
    assert (found.site, found.study, found.occurred_at) == ("north", study(1), 5)


def test_a_deadline_keeps_the_trail_of_its_cause() -> None:
    origin = origin_of(received(1, "cause"))
    deadline = Deadline(site="north", study=study(1), name="quiet", due_at=9, payload='{"a": 1}')
    event, found = reached(deadline_row("assemble_study", 2, deadline, origin))
    assert found == origin
    assert (event.payload, event.due_at, event.name) == ('{"a": 1}', 9, "quiet")


def test_a_deadline_without_a_payload_still_has_ids_of_its_own() -> None:
    row = deadline_row(
        "c", 0, Deadline(site="north", study="s", name="n", due_at=1), origin_of(received(1, "x"))
    )
    event, origin = reached(replace(row, payload=None))
    assert (event.payload, origin.hops) == ("", ())
    assert origin.correlation_id == origin.causation_id == reached(replace(row, payload=None))[1].causation_id


async def test_reads_of_the_raw_tier_become_one_audit_event_per_purpose(tmp_path: Path) -> None:
    here = context(tmp_path)
    cause = received(1, "cause")
    bench = here._bench
    bench.connections.sealed.put("raw", "a", b"raw bytes")
    for _ in range(2):
        read = await here.io(
            here.raw.read, "raw", "a", site="north", study=study(1), purpose="de-identification"
        )
        assert read == b"raw bytes"
    await here.io(here.raw.read, "raw", "a", site="north", study=study(1), purpose="other")
    assert sum(bench.connections.log.end_offsets("audit.v1").values()) == 0
    found = here.audits(cause)
    assert [topic for topic, _ in found] == ["audit.v1"] * 2
    events = [event for _, event in found if isinstance(event, AuditEvent)]
    assert [(event.action, event.purpose, event.subjects) for event in events] == [
        ("raw.read", "de-identification", (study(1),)),
        ("raw.read", "other", (study(1),)),
    ]
    again = [event.envelope.event_id for _, event in here.audits(cause)]
    assert again == [event.envelope.event_id for event in events]
    assert len(set(again)) == 2


async def test_blocking_calls_and_computations_leave_the_event_loop(tmp_path: Path) -> None:
    here = context(tmp_path)
    names = [
        await here.io(lambda: threading.current_thread().name),
        await here.cpu(lambda: threading.current_thread().name),
    ]
    assert [name.split("_")[0] for name in names] == ["io", "cpu"]


async def test_inference_is_there_for_steps_that_declare_it_only(tmp_path: Path) -> None:
    item = np.ones((2, 2), np.uint8)
    inferring = context(tmp_path, Doubles())
    assert inferring.inference_backend == "doubling"
    assert (await inferring.infer("m", item, priority=1))["m"].sum() == 8
    other = context(tmp_path)
    assert other.inference_backend == ""
    with pytest.raises(StopError):
        await other.infer("m", item, priority=1)


def test_pseudonyms_are_those_of_a_configured_site(tmp_path: Path) -> None:
    here = context(tmp_path)
    assert here.pseudonyms("north") is here.pseudonyms("north")
    assert here.pseudonyms("north").instance("1.2") != here.pseudonyms("south").instance("1.2")
    with pytest.raises(StopError):
        here.pseudonyms("nowhere")


async def test_what_takes_minutes_holds_up_neither_the_pools_nor_the_end_of_the_process(
    tmp_path: Path,
) -> None:
    here = context(tmp_path)
    told, go = threading.Event(), threading.Event()

    def wait() -> threading.Thread:
        told.set()
        go.wait()
        return threading.current_thread()

    waiting = asyncio.ensure_future(here.apart(wait))
    await here.io(told.wait)
    assert [await here.io(int), await here.cpu(int)] == [0, 0]
    go.set()
    assert (await waiting).daemon
    with pytest.raises(ValueError, match="no number"):
        await here.apart(_refused)


def _refused() -> None:
    raise ValueError("no number")


async def test_as_much_runs_apart_as_there_are_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    here, running, most = context(tmp_path), threading.Semaphore(0), []

    def count() -> None:
        running.release()
        most.append(running._value)
        running.acquire()

    await asyncio.gather(*(here.apart(count) for _ in range(5)))
    assert most == [1] * 5
