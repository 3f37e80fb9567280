"""Runs a step on Kafka with Faust, the only file that names it. Every rule stands against a loss seen with the stock idiom.

1. Records come as raw bytes: what does not decode reaches the binder, which dead-letters it; Faust would drop it.
2. Faust's agents only carry records to one loop, which binds them batch by batch, urgent topics first.
3. The committed offset is the smallest one that the binder has not resolved (`ledger`), whatever Faust has acknowledged.
4. Outputs go through the confirmed, idempotent producer of the log, never through Faust's.
5. Anything unexpected ends the process with nothing acknowledged; it starts again at the committed offsets.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import faust
from aiokafka import errors
from aiokafka.consumer import consumer as client
from faust.tables.recovery import RebalanceAgain
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode.services import WaitResults
from yarl import URL

from runtime import logs
from runtime.connections import Connections
from runtime.errors import StopError
from runtime.membership import only_member
from runtime.outcomes import Policy
from runtime.ports import Partition, Record
from runtime.process import Stop
from runtime.settings import KafkaSettings
from runtime.transport import sasl, trust
from schemas.rows import DeadlineRow
from stream_processors.context import Inference
from stream_processors.eager import stepped
from stream_processors.engine_settings import GIVE_UP_S, as_record, broker_urls, configuration, kafka
from stream_processors.ledger import Ledger
from stream_processors.running import POLL_S, Bound, batches, bound, until_asked
from stream_processors.step import Step

COMPANY_S = 0.005
"""Seconds that a record which finds nothing to do waits for more: what makes one confirmation serve many."""
BYTES_IN_FLIGHT = 32 * 2**20
"""Bytes of values of one topic, read and not resolved, beyond which no more of that topic are read. One fetch may exceed it."""
ROOM_S = 0.05
"""Seconds between two looks for room while a topic has none."""
LEAVE_S = 5.0
"""Seconds Faust gets to commit, to leave the group and to close."""
DELIVERY_AND_SUSPENSION = 2
"""What Faust waits for with each record: that it is delivered, or that the flow is suspended."""
OFFSET_FETCH = 9
"""Key of the request for a group's committed offsets (Kafka protocol, API keys)."""
LOUD = ("aiokafka", "faust", "mode", "stream_processors.app")
"""Loggers that repeat a line 40 times a second while a broker is away."""


class _Listener(driver.ConsumerRebalanceListener):
    """Joins the group once more where the broker has put this process in the place of a former one, unseen by the others.

    A static member that comes back takes over its predecessor's partitions without a rebalance. If the predecessor led the
    group, nobody does now: nobody sees new partitions, and an assignment it made before it knew the topics (of a broker that
    had just come up) stays as it is, with partitions that nobody reads. The leader's second join makes it lead; that of others
    is no news to the broker.
    """

    def __init__(self, thread: Any) -> None:
        super().__init__(thread)
        self._joined_as = ""

    async def on_partitions_assigned(self, assigned: Any) -> None:
        await self._thread.on_partitions_assigned({TP(each.topic, each.partition) for each in assigned})
        coordinator = self._thread._ensure_consumer()._coordinator  # noqa: SLF001 there is no public way
        leads = coordinator._group_subscription is not None  # noqa: SLF001
        if coordinator.member_id != self._joined_as and not leads:
            coordinator.request_rejoin()
        self._joined_as = coordinator.member_id


class _Coordinator(client.GroupCoordinator):  # type: ignore[misc]  # a library without types
    """Asks again for the committed offsets of a group that its broker has not loaded yet, or has no more.

    From version 2 of that request on, the error is that of the whole answer, where the client does not look. It takes a group
    without partitions for one without offsets, reads everything from the beginning and commits from there: after any restart of
    a broker, for every process that has just joined.
    """

    async def _send_req(self, request: Any) -> Any:
        answer = await super()._send_req(request)
        code = getattr(answer, "error_code", 0) if request.API_KEY == OFFSET_FETCH else 0
        if code:
            self.coordinator_dead()
            raise errors.for_code(code)
        return answer


client.GroupCoordinator = _Coordinator


class _Consumer(driver.Consumer):
    """Faust's consumer, with the ledger in place of its acknowledgements, and bounded by bytes.

    Faust tells the records of one assignment from those of another by the group's generation, which a static member that joins
    again keeps, and which does not change before the next assignment. Here each assignment has a number of its own, and so has
    the time between two, in which nothing is read.
    """

    RebalanceListener = _Listener

    def __init__(self, transport: _Transport, *args: Any, **kwargs: Any) -> None:
        super().__init__(transport, *args, **kwargs)
        self.ledger = transport.ledger
        self.idle = transport.idle
        self._hand_on, self.callback = self.callback, self._hand_out

    def _hand_out(self, message: Any) -> Any:
        """Note a record as it is handed on: Faust drops some that it has read, those before where it believes to be."""
        if message.generation_id == self.app.consumer_generation_id:
            self.ledger.hand_out(
                (message.topic, message.partition), message.offset, len(message.value or b"")
            )
        return self._hand_on(message)

    async def perform_seek(self) -> None:
        """Go to the committed offsets; Faust would then read on, though the partitions were taken away meanwhile.

        Raises
        ------
        RebalanceAgain
            They were: what follows is for those who own partitions, and is done when they are assigned anew.
        """
        begun = self.app.consumer_generation_id
        await super().perform_seek()
        if self.app.consumer_generation_id != begun:
            raise RebalanceAgain

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ASYNC109 Faust's
        active = active_partitions or set()
        roomy = {tp for tp in active if self.ledger.bytes_open(tp.topic) < BYTES_IN_FLIGHT}
        if not roomy:
            await self.sleep(ROOM_S)
            return {}
        return await super()._getmany(roomy, timeout if roomy == active else ROOM_S)

    async def wait_first(self, *coros: Any, timeout: Any = None) -> WaitResults:  # noqa: ASYNC109 Faust's
        """Deliver a record at once if nothing holds it up: Faust makes four tasks for each."""
        if len(coros) != DELIVERY_AND_SUSPENSION or not all(map(asyncio.iscoroutine, coros)):
            return await super().wait_first(*coros, timeout=timeout)
        delivery, suspension = coros
        rest = stepped(delivery)
        if rest is None:
            suspension.close()
            return WaitResults([], [], self.should_stop)
        return await super().wait_first(rest, suspension, timeout=timeout)

    def _filter_tps_with_pending_acks(self, _topics: Any = None) -> Iterator[TP]:
        return (TP(*where) for where in self.ledger.partitions())

    def _new_offset(self, tp: TP) -> int | None:
        return self.ledger.to_commit(tp)

    def _should_commit(self, _tp: TP, _offset: int) -> bool:
        return True

    async def _commit_offsets(self, offsets: Mapping[TP, int], start_new_transaction: bool = True) -> bool:
        done = await super()._commit_offsets(offsets, start_new_transaction)
        if done:
            self.ledger.committed({(tp.topic, tp.partition): offset for tp, offset in offsets.items()})
        return done

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Offsets that compaction removed are nobody's work: Faust would keep each of them in memory."""

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        self.app.consumer_generation_id += 1
        await super().on_partitions_revoked(revoked)
        self.ledger.clear()

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:  # noqa: ARG002 the broker's
        self.app.consumer_generation_id += 1
        self.ledger.clear()
        await super().on_partitions_assigned(assigned, self.app.consumer_generation_id)

    async def wait_empty(self) -> None:
        """Wait for the batch in work, not for what is buffered, and not for ever; then commit."""
        try:
            await asyncio.wait_for(self.idle.wait(), GIVE_UP_S)
        except TimeoutError:
            self.log.warning("partitions leave while their batch is in work")
        await self.commit_and_end_transactions()


class _Transport(driver.Transport):
    Consumer = _Consumer

    def __init__(self, urls: list[URL], app: faust.App, ledger: Ledger, idle: asyncio.Event) -> None:
        super().__init__(urls, app)
        self.ledger = ledger
        self.idle = idle


class _Runner:
    """One step on one Faust app."""

    def __init__(self, ready: Bound) -> None:
        self.bound = ready
        self.step = ready.step
        self.connections = ready.connections
        self.ledger = Ledger()
        self.idle = asyncio.Event()
        self.idle.set()
        self.app = self._app()
        self.starting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when Faust has its partitions, or has failed to get them."""
        self.lanes: list[asyncio.Queue[faust.Event]] = [
            asyncio.Queue(ready.batch_records) for _ in self.step.reads
        ]
        """What agents have brought and the loop has not taken, by topic."""
        self._brought = asyncio.Event()
        self._assigned = False

    def _app(self) -> faust.App:
        brokers = kafka(self.connections)
        urls = broker_urls(brokers)
        app = faust.App(
            self.bound.name, broker_credentials=credentials(brokers), **configuration(self.connections, urls)
        )
        app.transport = _Transport(urls, app, self.ledger, self.idle)
        for lane, name in enumerate(self.step.reads):
            topic = app.topic(name, key_serializer="raw", value_serializer="raw", allow_empty=True)
            app.agent(topic, concurrency=1, name=f"{self.bound.name}.{name}")(self._carrier(lane))
        app.on_partitions_assigned.connect(self._on_assigned)
        return app

    def _carrier(self, lane: int) -> Any:
        # Not `noack_take`: with a limit of time it makes four tasks every time that passes, whether anything came or not.
        async def carry(stream: Any) -> None:
            async for event in stream.noack().events():
                await self.lanes[lane].put(event)
                self._brought.set()

        return carry

    async def _on_assigned(self, *arguments: Any, **_: Any) -> None:
        assigned = arguments[-1]
        self.connections.metrics.count("radstream_rebalances_total")
        self._assigned = True
        if assigned:
            self.connections.presence.ready()
        else:
            self.connections.presence.not_ready("no partitions: other processes of this group own them all")

    async def turn(self) -> None:
        """Resolve the most urgent batch that waits, with the deadlines that are due; or only those."""
        if self.app.should_stop or (self.starting.done() and self.starting.exception()):
            raise StopError("the stream engine gave up") from self.app.crash_reason
        events = await self._next_batch()
        self.idle.clear()
        try:
            await self._resolve(events)
        finally:
            self.idle.set()
        self.bound.measure(self._owned())

    async def _next_batch(self) -> list[faust.Event]:
        """Take all that the most urgent topic with anything has; nothing, if nothing comes."""
        self._brought.clear()
        if all(lane.empty() for lane in self.lanes):
            try:
                await asyncio.wait_for(self._brought.wait(), POLL_S)
            except TimeoutError:
                return []
            await asyncio.sleep(COMPANY_S)
        lane = next(lane for lane in self.lanes if not lane.empty())
        return [lane.get_nowait() for _ in range(lane.qsize())]

    async def _resolve(self, events: Sequence[faust.Event]) -> None:
        records = self._records(events)
        due = await self.bound.due(self._owned())
        self._tell(records)
        for batch in batches(records, due, self.step.reads):
            await self.bound.binder.bind(batch, self._delete)
            for each in batch:
                if isinstance(each, Record):
                    self.ledger.resolve((each.topic, each.partition), each.offset)

    def _records(self, events: Sequence[faust.Event]) -> list[Record]:
        """Records of the current assignment: the others are delivered again, here or to their new owner.

        Raises
        ------
        StopError
            Faust left one out.
        """
        generation = self.app.consumer_generation_id
        current = [as_record(each.message) for each in events if each.message.generation_id == generation]
        # What is read twice comes twice: Faust begins again at the last record it handed on, that one included.
        read = {(each.topic, each.partition, each.offset): each for each in current}.values()
        records = [each for each in read if self.ledger.is_open((each.topic, each.partition), each.offset)]
        for where in {(each.topic, each.partition) for each in records}:
            offsets = [each.offset for each in records if (each.topic, each.partition) == where]
            if not self.ledger.are_next(where, offsets):
                raise StopError("the stream engine left out a record")
        return records

    def _delete(self, done: list[DeadlineRow]) -> None:
        for row in done:
            self.bound.deadlines.delete(row)

    def _owned(self) -> frozenset[Partition]:
        return (
            frozenset((tp.topic, tp.partition) for tp in self.app.consumer.assignment())
            if self._assigned
            else frozenset()
        )

    def _tell(self, records: Sequence[Record]) -> None:
        self.bound.tell(records)
        self.connections.metrics.set("radstream_in_flight_bytes", self.ledger.bytes_open())


async def run(
    name: str,
    step: Step,
    connections: Connections,
    stop: Stop,
    *,
    inference: Inference | None = None,
    policy: Policy | None = None,
) -> None:
    """Run a step until it is asked to stop.

    Raises
    ------
    StopError
        A topic is missing, a process with the same member id runs here, or Faust gave up: the process ends and starts anew.
    """
    for each in LOUD:
        logs.limit(connections.component, each)
    member = only_member(connections.settings.data / "run", connections.member)
    with bound(name, step, connections, inference, policy) as ready, member:
        runner = _Runner(ready)
        async with _started(runner):
            await until_asked(runner, stop)


@asynccontextmanager
async def _started(runner: _Runner) -> AsyncIterator[None]:
    """Run Faust; leave the group at the end if all went well, so that others take over at once."""
    app = runner.app
    runner.starting = asyncio.ensure_future(app.start())
    try:
        yield
        _leave_group(app)
    finally:
        runner.starting.cancel()
        await asyncio.wait({runner.starting, asyncio.ensure_future(app.stop())}, timeout=LEAVE_S)


def credentials(brokers: KafkaSettings) -> faust.SASLCredentials | faust.SSLCredentials | None:
    """How Faust's client signs in and encrypts; None for a broker that asks for neither."""
    signing_in = sasl(brokers)
    if signing_in is not None:
        return faust.SASLCredentials(**signing_in)
    return faust.SSLCredentials(trust(brokers.ca)) if brokers.tls else None


def _leave_group(app: faust.App) -> None:
    """Make the client say goodbye: a static member otherwise keeps its partitions, unread, until its session ends."""
    client = getattr(getattr(app.consumer, "_thread", None), "_consumer", None)
    coordinator = getattr(client, "_coordinator", None)
    if coordinator is not None:
        coordinator._group_instance_id = None  # noqa: SLF001 there is no public way
