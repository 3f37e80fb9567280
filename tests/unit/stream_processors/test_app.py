"""What app.py decides between Faust and the binder; Kafka itself is in tests/integration/test_faust_*.py."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import consumer as client
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.protocol.commit import OffsetFetchResponse_v3
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from runtime.errors import StopError
from stream_processors import app
from stream_processors.app import BYTES_IN_FLIGHT, _Consumer, _Coordinator, _Runner
from stream_processors.engine_settings import as_record
from tests.support.faust_runner import ROUTINE, URGENT, bring, event


async def test_the_urgent_lane_goes_first(runner: _Runner) -> None:
    bring(runner, ROUTINE, 4, 5)
    bring(runner, URGENT, 7)
    await runner.turn()
    await runner.turn()
    assert runner.bound.binder.batches == [[f"{URGENT}@7"], [f"{ROUTINE}@4", f"{ROUTINE}@5"]]  # type: ignore[attr-defined]
    assert runner.ledger.committable((ROUTINE, 0)) == 6


class _Stream:
    """Faust's stream of a topic's events."""

    def __init__(self, events: Sequence[Any]) -> None:
        self._events = events

    def noack(self) -> _Stream:
        return self

    async def events(self) -> AsyncIterator[Any]:
        for each in self._events:
            yield each


async def test_an_agent_brings_one_batch_and_waits_until_it_is_taken(runner: _Runner) -> None:
    most = runner.bound.batch_records
    runner.app.consumer_generation_id = 1
    for offset in range(most + 2):
        runner.ledger.hand_out((URGENT, 0), offset, 1)
    stream = _Stream([event(URGENT, offset) for offset in range(most + 2)])
    agent = asyncio.ensure_future(runner._carrier(0)(stream))
    await runner.turn()
    await runner.turn()
    await agent
    assert [len(batch) for batch in runner.bound.binder.batches] == [most, 2]  # type: ignore[attr-defined]
    assert runner.ledger.committable((URGENT, 0)) == most + 2
    assert runner.idle.is_set()


async def test_a_record_that_finds_nothing_to_do_waits_for_company(
    runner: _Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn = asyncio.ensure_future(runner.turn())
    await asyncio.sleep(0)

    async def wait(_seconds: float) -> None:
        bring(runner, ROUTINE, 5)

    monkeypatch.setattr(asyncio, "sleep", wait)
    bring(runner, ROUTINE, 4)
    runner._brought.set()
    await turn
    assert runner.bound.binder.batches == [[f"{ROUTINE}@4", f"{ROUTINE}@5"]]  # type: ignore[attr-defined]


async def test_nothing_is_taken_where_nothing_comes(runner: _Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "POLL_S", 0.001)
    await runner.turn()
    assert runner.bound.binder.batches == []  # type: ignore[attr-defined]


async def test_records_of_an_earlier_assignment_are_left_to_their_owner(runner: _Runner) -> None:
    bring(runner, URGENT, 7, 8, generation=0)
    await runner.turn()
    assert runner.bound.binder.batches == []  # type: ignore[attr-defined]


async def test_a_record_that_faust_left_out_stops_the_process(runner: _Runner) -> None:
    runner.ledger.hand_out((URGENT, 0), 6, 1)
    bring(runner, URGENT, 7)
    with pytest.raises(StopError, match="left out"):
        await runner.turn()
    assert runner.ledger.committable((URGENT, 0)) == 6


async def test_a_record_that_faust_brings_twice_is_one_record(runner: _Runner) -> None:
    bring(runner, URGENT, 7, 8, 7, 8, 9)
    await runner.turn()
    assert runner.bound.binder.batches == [[f"{URGENT}@{offset}" for offset in (7, 8, 9)]]  # type: ignore[attr-defined]
    assert runner.ledger.committable((URGENT, 0)) == 10


async def test_an_engine_that_does_not_start_ends_the_process(runner: _Runner) -> None:
    runner.starting.set_exception(ConnectionError())
    with pytest.raises(StopError, match="gave up"):
        await runner.turn()


async def test_what_the_binder_could_not_resolve_stays_open(runner: _Runner) -> None:
    runner.bound.binder.error = StopError("disk full")  # type: ignore[attr-defined]
    bring(runner, URGENT, 7)
    with pytest.raises(StopError, match="disk full"):
        await runner.turn()
    assert runner.ledger.committable((URGENT, 0)) == 7


async def test_a_topic_with_too_many_bytes_in_flight_is_not_read_and_holds_up_no_other(
    runner: _Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    async def getmany(_self: Any, active: Any, timeout: float) -> Any:  # noqa: ASYNC109 Faust's
        asked.append(set(active))
        return {}

    monkeypatch.setattr(driver.Consumer, "_getmany", getmany)
    consumer = runner.app.consumer
    assert isinstance(consumer, _Consumer)
    both = {TP(URGENT, 0), TP(ROUTINE, 0)}
    await consumer._getmany(both, 1.0)
    runner.ledger.hand_out((ROUTINE, 0), 1, BYTES_IN_FLIGHT)
    await consumer._getmany(both, 1.0)
    runner.ledger.hand_out((URGENT, 0), 1, BYTES_IN_FLIGHT)
    assert await consumer._getmany(both, 1.0) == {}
    runner.ledger.resolve((ROUTINE, 0), 1)
    await consumer._getmany(both, 1.0)
    assert asked == [both, {TP(URGENT, 0)}, {TP(ROUTINE, 0)}]


@pytest.mark.parametrize("waits", [False, True])
async def test_a_record_is_delivered_whether_it_waits_or_not(runner: _Runner, waits: bool) -> None:
    consumer, delivered = runner.app.consumer, []

    async def delivery() -> None:
        if waits:
            await asyncio.sleep(0.001)
        delivered.append(1)

    await consumer.wait_first(delivery(), asyncio.Event().wait())  # type: ignore[attr-defined]
    assert delivered == [1]


async def test_a_delivery_that_waits_ends_with_the_flow_as_faust_would_have_it(runner: _Runner) -> None:
    consumer, suspended = runner.app.consumer, asyncio.Event()
    suspended.set()
    delivered: list[int] = []

    async def delivery() -> None:
        await asyncio.Event().wait()
        delivered.append(1)

    await consumer.wait_first(delivery(), suspended.wait())  # type: ignore[attr-defined]
    assert delivered == []


async def test_what_faust_itself_acknowledges_is_not_committed(runner: _Runner) -> None:
    consumer = runner.app.consumer
    assert isinstance(consumer, _Consumer)
    for offset in (5, 6, 7):
        runner.ledger.hand_out((URGENT, 0), offset, 1)
        consumer._acked[TP(URGENT, 0)].append(offset)
    assert consumer._filter_committable_offsets(consumer._filter_tps_with_pending_acks()) == {
        TP(URGENT, 0): 5
    }


async def test_the_stock_consumer_commits_what_it_skipped_and_acknowledged_itself(runner: _Runner) -> None:
    consumer, where = runner.app.consumer, TP(URGENT, 0)
    assert isinstance(consumer, _Consumer)
    consumer._acked[where].extend([5, 6, 7])
    assert driver.Consumer._new_offset(consumer, where) == 8


async def test_what_compaction_removed_is_kept_by_the_stock_consumer_and_not_here(runner: _Runner) -> None:
    consumer, where = runner.app.consumer, TP(URGENT, 0)
    assert isinstance(consumer, _Consumer)
    await driver.Consumer._add_gap(consumer, where, 10, 1_000_000)
    assert len(consumer._gap[where]) == 1
    consumer._gap[where].clear()
    await consumer._add_gap(where, 10, 1_000_000)
    assert len(consumer._gap[where]) == 0


async def test_offsets_that_compaction_removed_hold_up_no_commit(runner: _Runner) -> None:
    for offset in (5, 900):
        runner.ledger.hand_out((URGENT, 0), offset, 1)
    runner.ledger.resolve((URGENT, 0), 5)
    assert runner.ledger.to_commit((URGENT, 0)) == 900
    runner.ledger.resolve((URGENT, 0), 900)
    assert runner.ledger.to_commit((URGENT, 0)) == 901


async def test_partitions_leave_though_their_batch_hangs(
    runner: _Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "GIVE_UP_S", 0.01)
    consumer = runner.app.consumer
    commits: list[bool] = []

    async def commit() -> None:
        commits.append(runner.idle.is_set())

    monkeypatch.setattr(consumer, "commit_and_end_transactions", commit)
    runner.idle.clear()
    await consumer.wait_empty()
    runner.idle.set()
    await consumer.wait_empty()
    assert commits == [False, True]


def test_a_message_becomes_a_record_with_microseconds() -> None:
    record = as_record(event(URGENT, 3).message)
    assert (record.topic, record.offset, record.headers, record.timestamp) == (
        URGENT, 3, (("a", b"b"),), 1_700_000_000_123_000,
    )  # fmt: skip


LOADING = {14: "still loading", 15: "not available", 16: "of another broker"}
"""Errors of a group, by their number on the wire."""


class Broker:
    """Gives one answer after the other, whatever it is asked."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    async def send(self, _node: int, _request: Any, *, group: Any) -> Any:
        del group
        return self.answers.pop(0)


def asking(kind: Any, monkeypatch: pytest.MonkeyPatch, code: int) -> tuple[Any, list[None]]:
    """A client that is told what a broker says in the first second after it has come back, twice, and then the offset.

    The second list grows each time that the client looks for its broker anew.
    """
    coordinator = kind.__new__(kind)
    coordinator.group_id, coordinator._retry_backoff_ms = "g", 1
    refused = OffsetFetchResponse_v3(0, [], code)
    coordinator._client = Broker(
        refused, refused, OffsetFetchResponse_v3(0, [(URGENT, [(0, 973, "", 0)])], 0)
    )
    lost: list[None] = []
    monkeypatch.setattr(coordinator, "coordinator_dead", lambda: lost.append(None))

    async def found() -> None:
        coordinator.coordinator_id = 1

    monkeypatch.setattr(coordinator, "ensure_coordinator_known", found)
    return coordinator, lost


@pytest.mark.parametrize("code", LOADING, ids=LOADING.values())
async def test_a_group_that_its_broker_has_not_loaded_is_not_taken_for_one_without_offsets(
    monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    coordinator, lost = asking(_Coordinator, monkeypatch, code)

    offsets = await coordinator.fetch_committed_offsets([TopicPartition(URGENT, 0)])

    assert {(part.topic, part.partition): each.offset for part, each in offsets.items()} == {(URGENT, 0): 973}
    assert len(lost) == 2


@pytest.mark.parametrize("code", LOADING, ids=LOADING.values())
async def test_the_stock_client_reads_such_a_group_from_the_beginning(
    monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    coordinator, _ = asking(GroupCoordinator, monkeypatch, code)

    assert await coordinator.fetch_committed_offsets([TopicPartition(URGENT, 0)]) == {}


def test_faust_s_client_is_ours() -> None:
    assert client.GroupCoordinator is _Coordinator
