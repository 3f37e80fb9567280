"""What the runner does with each class of failure, and that nothing is acknowledged before its effect is there."""

from __future__ import annotations

import contextlib
import errno
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import sinks.runner
from runtime import faults
from runtime.connections import Connections, connect
from runtime.embedded.tables import EmbeddedTables
from runtime.errors import DeadLetterError, OutageError, RetryError, StopError
from runtime.faults import Point
from runtime.outcomes import Policy
from runtime.ports import OutgoingRecord
from runtime.publishing import Publisher
from schemas.codec import decode
from schemas.events import DeadLetter, Event
from schemas.topics import dead_letter_topic
from sinks.runner import SinkRunner
from sinks.sink import Outputs, SinkSpec
from tests.support.installation import connections, received, settings, study
from tests.support.offsets import committed as committed_offsets
from tests.support.processes import wait_until

NAME, SOURCE, EMITTED = "recorder", "instance.received.v1", "audit.v1"
QUICK = Policy(attempts=4, first_pause_s=0.001, longest_pause_s=0.002, concurrency=4)


class Killed(BaseException):
    """The process dies here."""


@dataclass
class Recorder:
    """A sink that remembers, and fails as it is told to: per event id, the errors of its first attempts."""

    failures: dict[str, list[BaseException]] = field(default_factory=dict)
    emit: Callable[[Event], Outputs] = lambda _event: ()
    written: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def write(self, topic: str, event: Event) -> Outputs:
        """Remember the event, or fail."""
        assert topic == SOURCE
        event_id = event.envelope.event_id
        with self.lock:
            left = self.failures.get(event_id, [])
            if left:
                raise left.pop(0)
            self.written.append(event_id)
        return self.emit(event)


def runner(made: Connections, sink: Recorder, emits: Sequence[str] = ()) -> SinkRunner:
    """A runner of this sink."""
    return SinkRunner(NAME, SinkSpec("Remembers.", (SOURCE,), tuple(emits)), sink, made, QUICK)


@contextlib.contextmanager
def running(made: Connections, sink: Recorder) -> Iterator[SinkRunner]:
    """Run a sink in a thread."""
    kept = runner(made, sink)
    thread = threading.Thread(target=kept.run)
    thread.start()
    try:
        yield kept
    finally:
        kept.stop()
        thread.join()


@pytest.fixture(autouse=True)
def asks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sink that is asked to end first waits for its last poll."""
    monkeypatch.setattr(sinks.runner, "POLL_S", 0.02)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Connections]:
    opened = connections(tmp_path, NAME)
    yield opened
    opened.close()


def publish(made: Connections, *events: tuple[int, str]) -> None:
    """Publish events of studies by number, with their ids."""
    made.publisher.publish([(SOURCE, received(number, event_id)) for number, event_id in events])


def committed(made: Connections) -> int:
    """Records the sink acknowledged."""
    return sum(committed_offsets(made.log, NAME, SOURCE).values())


def letters(made: Connections) -> list[DeadLetter]:
    """Dead letters of the sink."""
    records = made.log.read(dead_letter_topic(NAME), 0, 0, 100)
    told = [decode(record.value, made.registry) for record in records]
    return [each for each in told if isinstance(each, DeadLetter)]


def test_events_are_written_and_then_acknowledged(made: Connections) -> None:
    publish(made, (1, "a"), (2, "b"))
    sink = Recorder()
    with running(made, sink):
        wait_until(lambda: committed(made) == 2, "both acknowledged")
    assert sorted(sink.written) == ["a", "b"]
    assert letters(made) == []


def test_events_of_one_study_keep_their_order_while_one_is_tried_again(made: Connections) -> None:
    publish(made, *[(number, f"{number}-{index}") for index in range(6) for number in range(4)])
    sink = Recorder({"1-2": [RetryError()] * 3, "2-0": [RetryError()]})
    with running(made, sink):
        wait_until(lambda: committed(made) == 24, "all acknowledged")
    by_study: dict[str, list[str]] = defaultdict(list)
    for event_id in sink.written:
        by_study[event_id[0]].append(event_id)
    assert all(told == sorted(told) for told in by_study.values())
    assert len(sink.written) == 24


def test_with_every_event_delivered_twice_and_batches_cut_all_is_written_and_acknowledged(
    tmp_path: Path,
) -> None:
    made = connections(tmp_path, NAME, delivery={"redeliver": True, "cut_batches": True, "seed": 5})
    publish(made, *[(number % 7, f"e{number}") for number in range(40)])
    sink = Recorder()
    with running(made, sink):
        wait_until(lambda: committed(made) == 40, "all acknowledged")
    counts = {event_id: sink.written.count(event_id) for event_id in sink.written}
    assert set(counts) == {f"e{number}" for number in range(40)}
    assert min(counts.values()) >= 2
    made.close()


@pytest.mark.parametrize(
    ("failures", "reason", "attempts"),
    [
        ([DeadLetterError("destination-refused")], "destination-refused", 1),
        ([RetryError()] * 4, "retries-exhausted", 4),
        ([ValueError("DOE^JANE")] * 3, "unexpected-error", 3),
    ],
)
def test_what_fails_for_good_goes_to_the_dead_letters_and_the_rest_goes_on(
    made: Connections, failures: list[BaseException], reason: str, attempts: int
) -> None:
    publish(made, (1, "good"), (1, "bad"), (1, "better"))
    sink = Recorder({"bad": failures})
    with running(made, sink):
        wait_until(lambda: committed(made) == 3, "all acknowledged")
    assert sink.written == ["good", "better"]
    (letter,) = letters(made)
    assert (letter.reason, letter.attempts, letter.envelope.study) == (reason, attempts, study(1))
    assert "JANE" not in repr(letter)


@pytest.mark.parametrize("value", [b"poison", None])
def test_a_record_that_does_not_decode_goes_to_the_dead_letters(
    made: Connections, value: bytes | None
) -> None:
    made.log.producer(NAME).send([OutgoingRecord(SOURCE, study(1).encode(), value, ())])
    publish(made, (1, "good"))
    sink = Recorder()
    with running(made, sink):
        wait_until(lambda: committed(made) == 2, "both acknowledged")
    assert sink.written == ["good"]
    assert [letter.error_type for letter in letters(made)] == ["UndecodableError"]


def test_an_event_of_a_site_nobody_configured_goes_to_the_dead_letters(made: Connections) -> None:
    made.publisher.publish([(SOURCE, received(1, "foreign", site="west"))])
    sink = Recorder()
    with running(made, sink):
        wait_until(lambda: committed(made) == 1, "it acknowledged")
    assert sink.written == []
    assert [letter.reason for letter in letters(made)] == ["unknown-site"]


def test_an_outage_holds_the_partition_back_however_long_it_lasts(made: Connections) -> None:
    publish(made, (1, "held"), (1, "next"))
    outage: list[BaseException] = [OutageError()] * 100_000
    sink = Recorder({"held": outage})
    with running(made, sink):
        wait_until(lambda: len(outage) < 100_000 - 20, "twenty attempts")
        assert committed(made) == 0
        assert sink.written == []
        with sink.lock:
            outage.clear()
        wait_until(lambda: committed(made) == 2, "both acknowledged")
    assert sink.written == ["held", "next"]
    assert letters(made) == []


def test_no_event_is_given_up_while_an_engine_is_down(
    made: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(made, (1, "held"))
    down = [True] * 3
    look = EmbeddedTables.select

    def select(self: EmbeddedTables, row_type: Any, **more: Any) -> Any:
        if down:
            down.pop()
            raise RetryError
        return look(self, row_type, **more)

    monkeypatch.setattr(EmbeddedTables, "select", select)
    sink = Recorder({"held": [RetryError()] * 15})
    with running(made, sink):
        wait_until(lambda: committed(made) == 1, "it acknowledged")
    assert sink.written == ["held"]
    assert letters(made) == []


@pytest.mark.parametrize("error", [StopError("no"), MemoryError(), OSError(errno.ENOSPC, "full")])
def test_what_stops_the_process_acknowledges_nothing(made: Connections, error: Exception) -> None:
    publish(made, (1, "a"), (2, "b"))
    kept = runner(made, Recorder({"a": [error]}))
    with pytest.raises(type(error)):
        kept.run()
    assert committed(made) == 0
    assert letters(made) == []


def test_asked_to_end_during_an_outage_it_ends_in_peace_and_gives_the_batch_back(made: Connections) -> None:
    publish(made, (1, "held"))
    outage: list[BaseException] = [OutageError()] * 10_000
    with running(made, Recorder({"held": outage})):
        wait_until(lambda: len(outage) < 10_000, "an attempt")
    assert committed(made) == 0
    sink = Recorder()
    with running(made, sink):
        wait_until(lambda: committed(made) == 1, "it acknowledged")
    assert sink.written == ["held"]


def test_what_a_sink_reports_is_confirmed_before_the_acknowledgement_and_the_effect_is_not_repeated(
    made: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(made, (1, "a"))
    send, refusals = Publisher.publish, [RetryError()] * 6

    def publish_late(self: Publisher, outputs: Any) -> None:
        if outputs and outputs[0][0] == SOURCE and refusals:
            assert committed(made) == 0
            raise refusals.pop()
        send(self, outputs)

    monkeypatch.setattr(Publisher, "publish", publish_late)
    sink = Recorder(
        emit=lambda event: ((SOURCE, event),) if event.envelope.event_id == "a" and not again else ()
    )
    again: list[int] = []
    kept = runner(made, sink, [SOURCE])
    kept.step()
    again.append(1)
    assert sink.written == ["a"]
    assert refusals == []
    assert sum(made.log.end_offsets(SOURCE).values()) == 2
    kept.stop()
    kept.run()


@pytest.mark.parametrize("point", ["after-effect", "after-publish", "before-acknowledge"])
def test_killed_at_a_point_it_acknowledged_nothing_and_its_successor_does_all(
    tmp_path: Path, point: Point
) -> None:
    made = connections(tmp_path / "run", NAME)
    publish(made, (1, "a"), (2, "b"))

    def die() -> None:
        raise Killed

    faults.configure(tmp_path / "faults", NAME, die)
    (tmp_path / "faults" / NAME).write_text(point)
    first = Recorder(emit=lambda event: ((EMITTED, event),))
    try:
        dying = runner(made, first, [EMITTED])
        with pytest.raises(Killed):
            dying.step()
        assert (tmp_path / "faults" / f"{NAME}.fired").exists()
    finally:
        faults.disarm()
    assert first.written
    assert committed(made) == 0
    dying.stop()
    dying.run()
    second = Recorder()
    with running(made, second):
        wait_until(lambda: committed(made) == 2, "both acknowledged")
    assert sorted(second.written) == ["a", "b"]
    made.close()


def test_without_its_topics_a_sink_does_not_start(tmp_path: Path) -> None:
    made = connect(settings(tmp_path), NAME)
    with pytest.raises(StopError, match="missing topics"):
        runner(made, Recorder())
    made.close()
