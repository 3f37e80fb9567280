"""Runs a sink on the log: poll, decode, write, publish, acknowledge; retry, dead-letter or stop by the error's class.

1. Events of one study are written in order, those of different studies side by side.
2. Nothing is acknowledged before every event of the batch is written or dead-lettered, confirmed.
3. A destination that is down holds its partitions back; it loses nothing and skips nothing.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from runtime import faults
from runtime.connections import Connections
from runtime.errors import DeadLetterError, RetryError, StopError
from runtime.logs import logger
from runtime.ports import Consumer, Partition, Record
from schemas.codec import UndecodableError, decode
from schemas.events import Event
from sinks.sink import Sink, SinkSpec

BATCH_RECORDS = 200
"""Records per batch: large enough to amortise a commit, small enough that a crash repeats little."""
POLL_S = 0.5
"""Seconds a poll waits for the first record; also how soon a stop is noticed."""
CONCURRENCY = 8
"""Studies written side by side."""
FIRST_WAIT_S = 0.2
"""Seconds before the first repetition; doubles after each."""
LONGEST_WAIT_S = 10.0
"""Seconds between repetitions at the most."""
UNEXPECTED_TRIES = 3
"""Tries of one event whose failure has no class, before it goes to the dead letters."""


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
    """

    def __init__(self, name: str, spec: SinkSpec, sink: Sink, connections: Connections) -> None:
        self._name = name
        self._sink = sink
        self._connections = connections
        self._dead_letters = connections.dead_letters
        self._consumer: Consumer = connections.log.consumer(name, spec.reads, connections.member)
        self._pool = ThreadPoolExecutor(CONCURRENCY, thread_name_prefix=name)
        self._stopping = threading.Event()
        self._log = logger(name)

    def run(self) -> None:
        """Run until `stop`; raises StopError when the process must not go on."""
        try:
            while not self._stopping.is_set():
                self.step()
                self._connections.presence.ready()
        finally:
            self._pool.shutdown()
            self._consumer.close()

    def stop(self) -> None:
        """Finish the batch in hand, then return from `run`."""
        self._stopping.set()

    def step(self) -> int:
        """Handle one batch and return how many records it had."""
        records = self._consumer.poll(BATCH_RECORDS, POLL_S)
        if not records:
            return 0
        by_key: dict[bytes, list[Record]] = defaultdict(list)
        for record in records:
            by_key[record.key].append(record)
        for done in [self._pool.submit(self._write_in_order, group) for group in by_key.values()]:
            done.result()
        faults.reach("before-acknowledge")
        self._consumer.commit(next_offsets(records))
        self._connections.metrics.count("radstream_inputs_total", len(records))
        return len(records)

    def _write_in_order(self, records: Sequence[Record]) -> None:
        for record in records:
            try:
                event = decode(record.value, self._connections.registry)
            except UndecodableError as error:
                self._dead_letters.send(record, consumer=self._name, error=error, attempts=1)
                continue
            self._write(record, event)

    def _write(self, record: Record, event: Event) -> None:
        unexpected = 0
        attempt = 0
        while True:
            attempt += 1
            try:
                outputs = self._sink.write(record.topic, event)
                faults.reach("after-effect")
                if outputs:
                    self._connections.publisher.publish(outputs)
                    faults.reach("after-publish")
                return
            except RetryError:
                self._wait(attempt)
            except DeadLetterError as error:
                self._dead_letters.send(record, consumer=self._name, error=error, attempts=attempt)
                return
            except StopError:
                raise
            except Exception as error:  # noqa: BLE001 - a fault of the sink itself: tried again, then kept to be read
                unexpected += 1
                self._log.warning("unexpected-error", error_type=type(error).__name__, attempt=attempt)
                if unexpected >= UNEXPECTED_TRIES:
                    self._dead_letters.send(record, consumer=self._name, error=error, attempts=attempt)
                    return
                self._wait(attempt)

    def _wait(self, attempt: int) -> None:
        """Wait before the next try; a stop ends the process with the record unacknowledged."""
        seconds = min(FIRST_WAIT_S * 2 ** (attempt - 1), LONGEST_WAIT_S)
        if self._stopping.wait(seconds):
            raise StopError("stopped while a destination does not answer")


def next_offsets(records: Sequence[Record]) -> dict[Partition, int]:
    """Offsets to commit once all these records are handled."""
    offsets: dict[Partition, int] = {}
    for record in records:
        partition = (record.topic, record.partition)
        offsets[partition] = max(offsets.get(partition, 0), record.offset + 1)
    return offsets
