"""What belongs to an assignment of partitions, and what came before or between: app.py against Faust's own consumer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from faust.tables.recovery import RebalanceAgain
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode import Service

from stream_processors.app import _Consumer, _Runner
from tests.support.faust_runner import URGENT


@pytest.fixture
def consumer(runner: _Runner, monkeypatch: pytest.MonkeyPatch) -> _Consumer:
    """The runner's consumer without an application behind it: what is assigned is assigned, and nothing more happens."""
    made = runner.app.consumer
    assert isinstance(made, _Consumer)

    async def done(*_: Any, **__: Any) -> None:
        pass

    for name in ("_on_partitions_revoked", "_on_partitions_assigned"):
        monkeypatch.setattr(made, name, done)
    monkeypatch.setattr(made.app, "on_rebalance_return", lambda: None)
    return made


def message(consumer: _Consumer, topic: str, offset: int) -> Any:
    """What Faust makes of a record that it has read."""
    record = SimpleNamespace(
        topic=topic, partition=0, offset=offset, timestamp=0, timestamp_type=0, headers=(), key=b"k",
        value=b"v", checksum=None, serialized_key_size=1, serialized_value_size=1,
    )  # fmt: skip
    return consumer._to_message(TP(topic, 0), record)


async def test_what_was_read_between_two_assignments_belongs_to_neither(
    runner: _Runner, consumer: _Consumer
) -> None:
    where = TP(URGENT, 0)
    await consumer.on_partitions_assigned({where}, 4)
    early = message(consumer, URGENT, 602)
    await consumer.on_partitions_revoked({where})
    late = message(consumer, URGENT, 603)
    for each in (early, late):
        consumer._hand_out(each).close()
    await consumer.on_partitions_assigned({where}, 4)  # the same generation, as a static member's second join
    anew = message(consumer, URGENT, 860)
    consumer._hand_out(anew).close()
    for each in (early, late, anew):
        runner.lanes[0].put_nowait(SimpleNamespace(message=each))  # type: ignore[arg-type]
    await runner.turn()
    assert runner.bound.binder.batches == [[f"{URGENT}@860"]]  # type: ignore[attr-defined]
    assert runner.ledger.committable((URGENT, 0)) == 861


async def test_flow_does_not_begin_where_partitions_left_while_their_offsets_were_asked_for(
    consumer: _Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answer = asyncio.Event(), asyncio.Event()

    async def committed(_self: Any) -> dict[TP, int]:
        asked.set()
        await answer.wait()
        return {}

    monkeypatch.setattr(driver.Consumer, "seek_to_committed", committed)
    seeking = asyncio.ensure_future(consumer.perform_seek())
    await asked.wait()
    await consumer.on_partitions_revoked({TP(URGENT, 0)})
    answer.set()
    with pytest.raises(RebalanceAgain):
        await seeking
    await consumer.perform_seek()


async def test_a_record_that_faust_drops_as_read_is_not_open(
    runner: _Runner, consumer: _Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    where, delivered, fetcher = TP(URGENT, 0), [], Service()

    async def hand_on(each: Any) -> None:
        delivered.append(each.offset)

    async def getmany(timeout: float) -> AsyncIterator[Any]:  # noqa: ASYNC109 Faust's
        for offset in (7, 8, 7, 9):
            yield where, message(consumer, URGENT, offset)
            if offset == 8:
                runner.ledger.resolve((URGENT, 0), 7)
        fetcher._stopped.set()

    monkeypatch.setattr(consumer, "_hand_on", hand_on)
    monkeypatch.setattr(consumer, "getmany", getmany)
    await consumer._drain_messages(fetcher)
    assert delivered == [7, 8, 9]
    assert runner.ledger.committable((URGENT, 0)) == 8
