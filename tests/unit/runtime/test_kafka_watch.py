from __future__ import annotations

import pytest

from runtime.errors import OutageError
from runtime.kafka_watch import LOOKS, Bounds, Watch

A, B = ("t", 0), ("t", 1)


class Cluster:
    """What a cluster says of two partitions."""

    def __init__(self) -> None:
        self.bounds = {A: Bounds(0, 0), B: Bounds(0, 0)}
        self.committed = {A: 0, B: 0}
        self.away = False
        self.asked: list[list[tuple[str, int]]] = []

    def watch(self) -> Watch:
        return Watch(self.bounds_of, self.committed_of)

    def bounds_of(self, partitions):
        if self.away:
            raise OutageError("Kafka: _TRANSPORT")
        return {each: self.bounds[each] for each in partitions}

    def committed_of(self, partitions):
        self.asked.append(list(partitions))
        return {each: self.committed[each] for each in partitions}


@pytest.fixture
def cluster():
    return Cluster()


def test_records_that_wait_at_one_place_look_after_look_are_found(cluster):
    cluster.bounds = {A: Bounds(0, 6), B: Bounds(0, 5)}
    watch = cluster.watch()

    found = [watch.look({A: 5, B: 5}) for _ in range(LOOKS + 1)]

    assert found == [[]] * (LOOKS - 1) + [[A], [A]]


def test_one_step_forward_begins_the_count_again(cluster):
    cluster.bounds[A] = Bounds(0, 100)
    watch = cluster.watch()

    found = [watch.look({A: offset}) for offset in [5] * (LOOKS - 1) + [6] * LOOKS]

    assert found == [[]] * (2 * LOOKS - 2) + [[A]]


@pytest.mark.parametrize(
    ("bounds", "position", "committed"),
    [
        (Bounds(0, 5), 5, 0),
        (Bounds(5, 5), 3, 0),  # what was there is removed
        (Bounds(0, 5), None, 5),  # read by a process before this one
        (Bounds(5, 5), None, 0),  # never committed, and nothing left
        (Bounds(0, 0), None, 0),
    ],
)
def test_where_nothing_waits_nothing_is_found(cluster, bounds, position, committed):
    cluster.bounds[A], cluster.committed[A] = bounds, committed
    watch = cluster.watch()

    assert [watch.look({A: position}) for _ in range(2 * LOOKS)] == [[]] * (2 * LOOKS)


def test_a_partition_of_which_nothing_was_ever_read_is_found_and_its_start_is_asked_once(cluster):
    cluster.bounds[A], cluster.committed[A] = Bounds(2, 6), 3
    watch = cluster.watch()

    assert [watch.look({A: None}) for _ in range(LOOKS)] == [[]] * (LOOKS - 1) + [[A]]
    assert cluster.asked == [[A]]


def test_a_partition_that_comes_back_is_asked_about_again(cluster):
    watch = cluster.watch()

    for positions in ({A: None}, {A: 1, B: None}, {A: None}):
        watch.look(positions)

    assert cluster.asked == [[A], [B], [A]]


def test_an_outage_begins_the_count_again(cluster):
    cluster.bounds[A] = Bounds(0, 6)
    watch = cluster.watch()
    for _ in range(LOOKS - 1):
        watch.look({A: 5})
    cluster.away = True
    with pytest.raises(OutageError):
        watch.look({A: 5})
    cluster.away = False

    assert [watch.look({A: 5}) for _ in range(LOOKS)] == [[]] * (LOOKS - 1) + [[A]]


def test_a_partition_that_another_member_reads_now_is_not_looked_at(cluster):
    cluster.bounds = {A: Bounds(0, 6), B: Bounds(0, 6)}
    watch = cluster.watch()
    for _ in range(LOOKS - 1):
        watch.look({A: 5, B: 5})

    assert watch.look({B: 5}) == [B]
    assert watch.look({A: 5, B: 6}) == []
