"""Runs a sink on the log: poll, decode, write, publish, acknowledge; retry, dead-letter or stop by the error's class.

1. Events of one study are written in order, those of different studies side by side.
2. Nothing is acknowledged before every event of the batch is written or dead-lettered, confirmed.
3. A destination that is down (OutageError) holds its partitions back; it loses nothing and skips nothing.
"""

from __future__ import annotations

import random
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from runtime import faults
from runtime.connections import Connections
from runtime.errors import RetryError
from runtime.logs import logger
from runtime.outcomes import Policy, RetriesExhaustedError, Tries, Verdict, judge
from runtime.ports import Consumer, Record
from runtime.prepare import require_topics
from runtime.receiving import next_offsets, probe, understood
from schemas.codec import UndecodableError
from schemas.events import Event
from schemas.topics import dead_letter_topic
from sinks.sink import Sink, SinkSpec

P = ParamSpec("P")
T = TypeVar("T")

BATCH_RECORDS = 200
"""Records per batch: large enough to amortise a commit, small enough that a crash repeats little."""
POLL_S = 0.5
"""Seconds a poll waits for the first record; also how soon a stop is noticed."""
POLICY = Policy(concurrency=8)
"""Eight studies written side by side: each thread holds a connection to the destination."""


class StoppedError(Exception):
    """Asked to end in the middle of a batch, which is given back undone."""


class SinkRunner:
    """One sink, one consumer group, one process.

    Parameters
    ----------
    name
        The sink's name: its consumer group, metric label and dead-letter topic.
    spec, sink
        The sink.
    connections
        The process's connections.
    policy
        How often and how fast to try.
    """

    def __init__(
        self, name: str, spec: SinkSpec, sink: Sink, connections: Connections, policy: Policy = POLICY
    ) -> None:
        require_topics(connections, (*spec.reads, *spec.emits, dead_letter_topic(name)))
        self._name = name
        self._sink = sink
        self._connections = connections
        self._policy = policy
        self._consumer: Consumer = connections.log.consumer(name, spec.reads, connections.member)
        self._pool = ThreadPoolExecutor(policy.concurrency, thread_name_prefix=name)
        self._stopping = threading.Event()
        self._log = logger(name)

    def run(self) -> None:
        """Run until `stop`.

        Raises
        ------
        StopError, MemoryError, OSError
            The process must not go on; the batch in hand was not acknowledged.
        """
        try:
            while not self._stopping.is_set():
                self.step()
                self._connections.presence.ready()
        except StoppedError:
            self._log.warning("batch given back")
        finally:
            self._stopping.set()
            self._pool.shutdown()
            self._consumer.close()

    def stop(self) -> None:
        """Finish the batch in hand unless a destination is down, then return from `run`."""
        self._stopping.set()

    def step(self) -> int:
        """Handle one batch and return how many records it had."""
        records = self._insist(self._consumer.poll, BATCH_RECORDS, POLL_S)
        if not records:
            return 0
        by_key: dict[bytes, list[Record]] = defaultdict(list)
        for record in records:
            by_key[record.key].append(record)
        for done in [self._pool.submit(self._resolve_in_order, group) for group in by_key.values()]:
            done.result()
        faults.reach("before-acknowledge")
        self._insist(self._consumer.commit, next_offsets(records))
        self._connections.metrics.count("radstream_inputs_total", len(records))
        return len(records)

    def _resolve_in_order(self, records: Sequence[Record]) -> None:
        for record in records:
            self._resolve(record)

    def _resolve(self, record: Record) -> None:
        try:
            event = self._insist(understood, self._connections, record.value)
        except UndecodableError as error:
            self._give_up(record, error, 1)
            return
        tries = Tries()
        while (failure := self._attempt(record.topic, event)) is not None:
            if self._is_final(failure, tries):
                final = RetriesExhaustedError() if isinstance(failure, RetryError) else failure
                self._give_up(record, final, tries.made)
                return

    def _attempt(self, topic: str, event: Event) -> Exception | None:
        """Write the event once and publish what comes of it; return the error."""
        try:
            outputs = self._sink.write(topic, event)
            faults.reach("after-effect")
            if outputs:
                self._insist(self._connections.publisher.publish, outputs)
                faults.reach("after-publish")
        except StoppedError:
            raise
        except Exception as error:  # noqa: BLE001 - the boundary of an input: its class decides (`outcomes.judge`)
            return error
        return None

    def _is_final(self, error: Exception, tries: Tries) -> bool:
        """Wait before the next attempt, or say that there is none; raise what stops the process."""
        verdict = judge(error, tries, self._policy)
        if verdict is Verdict.STOP:
            raise error
        if verdict is Verdict.PROBE:
            verdict = self._blame(tries)
        if verdict is Verdict.DEAD_LETTER:
            return True
        self._wait(tries.made, error)
        return False

    def _blame(self, tries: Tries) -> Verdict:
        """Whose fault it is: the event's if every engine answers, else nobody's, and counting starts anew."""
        try:
            probe(self._connections)
        except RetryError:
            tries.retries = 0
            return Verdict.RETRY
        return Verdict.DEAD_LETTER

    def _give_up(self, record: Record, error: Exception, attempts: int) -> None:
        send = self._connections.dead_letters.send
        self._insist(send, record, consumer=self._name, error=error, attempts=attempts)
        self._connections.metrics.count("radstream_dead_letters_total")
        self._log.error("input given up", topic=record.topic, partition=record.partition, offset=record.offset,
                        exc_info=error)  # fmt: skip

    def _insist(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Make a call that must succeed before anything is acknowledged: RetryError is retried for ever."""
        attempt = 0
        while True:
            try:
                return call(*args, **kwargs)
            except RetryError as error:
                attempt += 1
                self._wait(attempt, error)

    def _wait(self, attempt: int, error: Exception) -> None:
        """Wait before the next attempt; when asked to stop meanwhile, give the batch back."""
        self._connections.metrics.count("radstream_retries_total")
        self._log.warning("attempt failed, will be made again", attempts=attempt, exc_info=error)
        if self._stopping.wait(self._policy.pause_s(attempt, random.random())):  # noqa: S311 - spreads tries
            raise StoppedError
