"""What goes wrong with workers and brokers, and must not go wrong with a step."""

from __future__ import annotations

import signal
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import (
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    ResourceType,
)

from runtime.kafka import KafkaLog
from runtime.process import STOPPED
from tests.support.faust_rig import PATIENCE_S, Rig, rig
from tests.support.faust_worker import SINK
from tests.support.raw import administer
from tests.support.servers import SharedServers


@pytest.fixture
def kafka(tmp_path: Path, servers: SharedServers) -> Iterator[Rig]:
    with rig(tmp_path, servers.require("kafka")) as found:
        yield found


def ids(first: int, last: int) -> list[str]:
    return [f"event-{n:05}" for n in range(first, last)]


def assert_all_once(kafka: Rig, wanted: list[str]) -> None:
    """Nothing lost, nothing doubled but deliveries of one and the same event, order of first deliveries kept."""
    echoes = kafka.echoes()
    by_event = {each.envelope.event_id: each.subjects[0] for each in echoes}
    assert sorted(by_event.values()) == sorted(wanted)
    assert kafka.in_order()
    assert kafka.letters() == []


@pytest.mark.parametrize("point", ["after-publish", "before-acknowledge"])
def test_a_kill_between_publication_and_acknowledgement_doubles_no_event(kafka: Rig, point: str) -> None:
    wanted = ids(0, 400)
    kafka.send(*wanted)
    order = kafka.settings.data / "faults" / kafka.name
    order.parent.mkdir(parents=True, exist_ok=True)
    order.write_text(f"{point} 1")
    assert kafka.start().wait() == -signal.SIGKILL
    assert kafka.committed() < len(wanted)
    kafka.start()
    kafka.until(lambda: kafka.committed() == len(wanted))
    assert_all_once(kafka, wanted)


def test_a_worker_whose_topic_is_missing_ends_where_the_stock_one_seems_well(kafka: Rig) -> None:
    stock = kafka.start_stock("missing")
    kafka.until(lambda: kafka.members() == 1)
    assert stock.poll() is None
    stock.kill()
    assert kafka.start(source="absent.v1").wait() == STOPPED


def test_an_event_that_the_broker_refuses_is_dead_lettered_alone(kafka: Rig) -> None:
    def limit(operation: AlterConfigOpType, value: str) -> None:
        entry = ConfigEntry("max.message.bytes", value, incremental_operation=operation)
        resource = ConfigResource(ResourceType.TOPIC, SINK, incremental_configs=[entry])
        administer(kafka.bootstrap, lambda admin: admin.incremental_alter_configs([resource]))

    described = ConfigResource(ResourceType.TOPIC, SINK)
    [found] = administer(kafka.bootstrap, lambda admin: admin.describe_configs([described]))
    usual = found["max.message.bytes"].value
    limit(AlterConfigOpType.SET, "100000")
    try:
        kafka.send("event-0", "sizable-1", "event-2", studies=kafka.neighbours(1))
        kafka.start()
        kafka.until(lambda: kafka.committed() == 3)
    finally:
        limit(AlterConfigOpType.SET, usual)
    assert [letter.reason for letter in kafka.letters()] == ["record-too-large"]
    assert list(dict.fromkeys(kafka.subjects())) == ["event-0", "event-2"]


def test_a_step_that_asks_to_stop_acknowledges_nothing(kafka: Rig) -> None:
    kafka.send("stop-0", "event-1", studies=kafka.neighbours(1))
    assert kafka.start().wait() == STOPPED
    assert kafka.committed() == 0


def test_deadlines_come_due_on_kafka(kafka: Rig) -> None:
    kafka.send("later-0", "later-1")
    kafka.start()
    kafka.until(lambda: len(kafka.subjects()) == 4)
    assert sorted(kafka.subjects()) == ["later-0", "later-0", "later-1", "later-1"]


def test_a_second_process_with_one_member_id_does_not_start(kafka: Rig) -> None:
    first = kafka.start("7")
    kafka.until(lambda: kafka.members() == 1)
    assert kafka.start("7").wait() == STOPPED
    assert first.poll() is None


def test_two_stock_workers_of_one_member_id_evict_each_other_and_look_well(kafka: Rig) -> None:
    workers = [kafka.start_stock("static")]
    kafka.until(lambda: kafka.members() == 1)
    workers.append(kafka.start_stock("static"))
    came: set[str] = set()

    def evicted() -> bool:
        came.update(kafka.member_ids())
        # One that is evicted while it joins gets an error unknown to its client, reads nothing any more, and looks as well.
        return len(came) > len(workers) or "Unexpected error" in kafka.words()

    kafka.until(evicted, patience_s=3 * PATIENCE_S)
    assert [worker.poll() for worker in workers] == [None, None]


def test_a_worker_asked_to_end_leaves_where_a_stock_static_member_stays(kafka: Rig) -> None:
    stock = kafka.start_stock("static")
    kafka.until(lambda: kafka.members() == 1)
    stock.terminate()
    stock.wait()
    assert kafka.members() == 1
    kafka.until(lambda: kafka.members() == 0)
    ours = kafka.start()
    kafka.until(lambda: kafka.members() == 1)
    ours.terminate()
    assert ours.wait() == 0
    assert kafka.members() == 0


def feed(kafka: Rig, wanted: list[str], each: Callable[[int], None]) -> None:
    """Write in twenty parts, with something happening in between."""
    step = len(wanted) // 20
    for part in range(20):
        kafka.send(*wanted[part * step : (part + 1) * step])
        each(part)
        time.sleep(0.5)


def test_scaling_while_events_flow_loses_nothing_and_keeps_the_order(kafka: Rig) -> None:
    wanted = ids(0, 2400)
    workers = [kafka.start("0")]
    kafka.until(lambda: kafka.members() == 1)

    def scale(part: int) -> None:
        if part == 5:
            workers.extend(kafka.start(name) for name in ("1", "2"))
        if part == 10:
            kafka.until(lambda: kafka.members() == 3)
        if part == 14:
            workers[0].terminate()

    feed(kafka, wanted, scale)
    kafka.until(lambda: kafka.committed() == len(wanted))
    assert workers[0].wait() == 0
    assert kafka.members() == 2
    assert_all_once(kafka, wanted)


def test_a_worker_that_was_asleep_past_its_session_does_no_harm(kafka: Rig) -> None:
    wanted = ids(0, 1200)
    sleeper, other = kafka.start("0"), kafka.start("1")
    kafka.until(lambda: kafka.members() == 2)

    def sleep(part: int) -> None:
        if part == 4:
            sleeper.send_signal(signal.SIGSTOP)
        if part == 19:
            kafka.until(lambda: kafka.members() == 1)
            sleeper.send_signal(signal.SIGCONT)

    feed(kafka, wanted, sleep)
    more = ids(1200, 1800)
    kafka.send(*more)
    kafka.until(lambda: kafka.committed() == len(wanted) + len(more))
    kafka.until(lambda: kafka.members() == 2)
    assert sleeper.poll() is None
    assert other.poll() is None
    assert_all_once(kafka, wanted + more)


def test_workers_and_the_broker_may_die_in_the_middle(kafka: Rig, servers: SharedServers) -> None:
    wanted = ids(0, 1200)
    workers = [kafka.start("0"), kafka.start("1")]
    kafka.until(lambda: kafka.members() == 2)

    def kill(part: int) -> None:
        if part in {4, 15}:
            workers[0].kill()
            workers[0].wait()
            workers[0] = kafka.start("0")
        if part == 9:
            servers.running.kill("kafka")
            servers.require("kafka")

    feed(kafka, wanted, kill)

    def finished() -> bool:
        for place, worker in enumerate(workers):
            if worker.poll() is not None:  # one that was cut off may end, and its supervisor starts it again
                workers[place] = kafka.start(str(place))
        return kafka.committed() == len(wanted)

    kafka.until(finished)
    assert_all_once(kafka, wanted)


def test_new_partitions_are_read_though_the_leader_of_the_group_was_killed_and_came_back(
    tmp_path: Path, servers: SharedServers
) -> None:
    cluster = servers.require("kafka")
    topic = f"grows-{uuid.uuid4().hex[:8]}.v1"
    KafkaLog(cluster.kafka).create_topics({topic: 2})
    with rig(tmp_path, cluster, reads=(topic,)) as kafka:
        names = ("0", "1")
        workers = [kafka.start(name, topic) for name in names]
        kafka.until(lambda: kafka.owned() == [0, 1] and kafka.members() == 2)
        for name, worker in zip(names, workers, strict=True):
            before = kafka.member_ids()
            worker.kill()
            worker.wait()
            kafka.start(name, topic)
            kafka.until(lambda known=before: len(kafka.member_ids() - known) == 1)  # type: ignore[misc]
        kafka.until(lambda: kafka.owned() == [0, 1])
        more = [NewPartitions(topic, 6)]
        administer(cluster.kafka.bootstrap, lambda admin: admin.create_partitions(more))
        kafka.until(lambda: kafka.owned() == [0, 1, 2, 3, 4, 5])
