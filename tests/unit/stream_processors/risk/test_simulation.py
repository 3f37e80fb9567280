"""The triage simulation: what the order brings, what it costs, and that the queue is one."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest

from stream_processors.risk.simulation import Outcome, Scenario, Study, _studies, _waits, simulate, summary
from stream_processors.risk.table import waits_table
from tests.support.repository import ROOT


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    """Four runs of 30 days, at a load of 0.93."""
    return simulate(Scenario())


def test_critical_studies_wait_three_quarters_less_in_the_mean_and_85_per_cent_less_at_the_95th_percentile(
    outcome: Outcome,
) -> None:
    assert outcome.change("critical", "mean") <= -0.75
    assert outcome.change("critical", "p95") <= -0.85


def test_the_page_shows_the_waits_as_they_come_out(outcome: Outcome) -> None:
    assert waits_table(outcome) in (ROOT / "docs" / "risk.md").read_text("utf-8")


def test_routine_studies_wait_five_per_cent_longer_at_most(outcome: Outcome) -> None:
    assert 0 < outcome.change("routine", "mean") <= 0.05


@pytest.mark.parametrize("measure", ["mean", "p95", "p99", "max"])
def test_critical_studies_that_the_ai_missed_wait_a_tenth_longer_at_most(
    outcome: Outcome, measure: str
) -> None:
    assert outcome.change("missed", measure) <= 0.10


def test_the_pages_are_within_what_readers_can_take(outcome: Outcome) -> None:
    assert outcome.within_budget


def test_the_same_seeds_give_the_same_figures_and_others_do_not() -> None:
    first, again, other = (simulate(Scenario(days=2, seeds=seeds)) for seeds in ((1,), (1,), (2,)))
    assert first == again
    assert first.ai != other.ai


def test_without_answers_the_order_is_first_come_first_served() -> None:
    nothing = simulate(Scenario(days=5, seeds=(1,), failures=1.0))
    assert nothing.ai == nothing.fifo


def test_an_answer_that_comes_later_helps_less() -> None:
    soon, late = (simulate(Scenario(days=20, seeds=(1,), ai_minutes=minutes)) for minutes in (1, 15))
    assert soon.ai["critical"].mean < late.ai["critical"].mean < late.fifo["critical"].mean


def test_a_queue_of_one_class_waits_as_long_as_theory_says() -> None:
    scenario = Scenario(load=0.7, days=250, seeds=(1,))
    servers, offered = scenario.readers, scenario.load * scenario.readers
    head = sum(offered**k / math.factorial(k) for k in range(servers))
    tail = offered**servers / math.factorial(servers) / (1 - scenario.load)
    erlang = tail / (head + tail) * (60 / scenario.per_hour) / (servers * (1 - scenario.load))
    assert simulate(scenario).fifo["routine"].mean == pytest.approx(erlang, rel=0.05)


def test_a_day_s_swing_keeps_the_mean_of_arrivals() -> None:
    import random

    counts = [len(list(_studies(Scenario(days=120, swing=swing), random.Random(3)))) for swing in (0.0, 0.5)]
    assert counts[0] == pytest.approx(counts[1], rel=0.02)


def test_no_reader_reads_two_studies_at_once_and_none_rests_while_one_waits() -> None:
    studies = [Study(0.0, 10.0, False, 1.0), Study(1.0, 10.0, False, 1.0), Study(2.0, 10.0, True, 40.0)]
    one = Scenario(readers=1, ai_minutes=0.0)
    waits = _waits(studies, one, lambda study: study.weight)
    assert waits == [0.0, 19.0, 8.0]
    begun = sorted(study.arrived + wait for study, wait in zip(studies, waits, strict=True))
    assert all(later - earlier == 10 for earlier, later in pairwise(begun))


def test_percentiles_are_values_that_were_seen() -> None:
    told = summary([float(value) for value in range(1, 101)])
    assert (told.mean, told.p95, told.p99, told.max) == (50.5, 95.0, 99.0, 100.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"load": 1.0},
        {"sensitivity": 1.1},
        {"readers": 0},
        {"seeds": ()},
        {"days": 0},
        {"ai_minutes": -1},
        {"ai_minutes": math.nan},
        {"ai_minutes": math.inf},
        {"per_hour": math.nan},
    ],
)
def test_what_is_no_queue_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"."):
        Scenario(**wrong)  # type: ignore[arg-type]


def test_waits_of_nobody_change_by_nothing_or_without_measure() -> None:
    waited, nobody = summary([0.0, 1.0]), summary([0.0, 0.0])
    outcome = Outcome({"routine": nobody}, {"routine": waited}, 0.0, 0.0, {})

    assert outcome.change("routine", "mean") == math.inf
    assert replace(outcome, ai={"routine": nobody}).change("routine", "mean") == 0
