"""Order of the worklist as a function of weight and waiting time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schemas.priority import priority_score

HOUR_S = 3600.0
seconds = st.floats(0, 1e7)
weights = st.floats(0.5, 100)


def test_a_fresh_critical_study_stands_before_a_routine_one_that_waited_for_hours() -> None:
    assert priority_score(40, 0) > priority_score(1, 9 * HOUR_S)


def test_nothing_sinks_for_ever() -> None:
    assert priority_score(1, 12 * HOUR_S) > priority_score(40, 0)


@given(weights, seconds, seconds)
def test_who_waits_longer_at_equal_weight_is_never_behind(weight: float, one: float, other: float) -> None:
    assert priority_score(weight, max(one, other)) >= priority_score(weight, min(one, other))


@given(weights, weights, seconds)
def test_who_weighs_more_at_equal_waiting_is_never_behind(one: float, other: float, waiting: float) -> None:
    assert priority_score(max(one, other), waiting) >= priority_score(min(one, other), waiting)


@given(weights, st.floats(-1e6, 0))
def test_a_clock_that_runs_ahead_counts_as_no_waiting(weight: float, waiting: float) -> None:
    assert priority_score(weight, waiting) == priority_score(weight, 0)
