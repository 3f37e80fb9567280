from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_processors.ledger import Ledger

HERE, THERE = ("topic", 0), ("other", 1)


def handed_out(*offsets: int) -> Ledger:
    ledger = Ledger()
    for offset in offsets:
        ledger.hand_out(HERE, offset, 10)
    return ledger


@pytest.mark.parametrize(
    ("offsets", "resolved", "committable"),
    [
        pytest.param([], [], None, id="nothing read"),
        pytest.param([5, 6, 7], [], 5, id="nothing resolved"),
        pytest.param([5, 6, 7], [6, 7], 5, id="all but the first"),
        pytest.param([5, 6, 7], [5, 7], 6, id="a gap of one, which the stock idiom commits past"),
        pytest.param([0, 1, 2], [1, 2], 0, id="the first of all, where nothing was ever committed"),
        pytest.param([5, 6, 7], [5, 6, 7], 8, id="all"),
        pytest.param([5, 9, 12], [5, 9], 12, id="offsets that compaction removed are nobody's work"),
        pytest.param([5, 6, 7, 5, 6, 7], [6, 7], 5, id="the engine went back over open ones"),
    ],
)
def test_nothing_is_committed_past_the_smallest_unresolved_record(offsets, resolved, committable):
    ledger = handed_out(*offsets)
    for offset in resolved:
        ledger.resolve(HERE, offset)

    assert ledger.committable(HERE) == committable


def test_a_record_read_again_after_it_was_resolved_is_open_again():
    ledger = handed_out(5, 6, 7)
    for offset in (5, 6):
        ledger.resolve(HERE, offset)
    ledger.hand_out(HERE, 6, 10)

    assert ledger.committable(HERE) == 6
    assert ledger.are_next(HERE, [6, 7])


@given(
    st.integers(1, 30).flatmap(lambda n: st.tuples(st.just(n), st.permutations(range(n)), st.integers(0, n)))
)
def test_in_whatever_order_records_are_resolved_none_below_the_commit_is_open(case):
    count, order, resolved = case
    ledger = handed_out(*range(count))
    for offset in order[:resolved]:
        ledger.resolve(HERE, offset)

    smallest = min(order[resolved:], default=count)
    assert ledger.committable(HERE) == smallest
    assert ledger.bytes_open() == 10 * (count - resolved)


@pytest.mark.parametrize(
    ("batch", "next_ones"),
    [([5, 6], True), ([5], True), ([6], False), ([5, 7], False), ([6, 5], False), ([5, 6, 7, 8], False)],
)
def test_a_batch_must_begin_with_the_smallest_open_record_and_leave_none_out(batch, next_ones):
    assert handed_out(5, 6, 7).are_next(HERE, batch) is next_ones


def test_what_the_log_has_is_not_committed_again_and_a_failed_commit_is():
    ledger = handed_out(5, 6)
    ledger.resolve(HERE, 5)
    assert ledger.to_commit(HERE) == 6
    assert ledger.to_commit(HERE) == 6
    ledger.committed({HERE: 6})

    assert ledger.to_commit(HERE) is None


def test_bytes_are_counted_by_topic():
    ledger = handed_out(1, 2)
    ledger.hand_out(THERE, 1, 7)
    ledger.resolve(HERE, 1)

    assert (ledger.bytes_open("topic"), ledger.bytes_open("other"), ledger.bytes_open()) == (10, 7, 17)


def test_an_earlier_assignment_leaves_nothing_behind():
    ledger = handed_out(5, 6)
    ledger.committed({HERE: 5})
    ledger.clear()
    ledger.resolve(HERE, 5)

    assert ledger.partitions() == []
    assert ledger.bytes_open() == 0
    assert not ledger.is_open(HERE, 6)
    assert ledger.committable(HERE) is None
