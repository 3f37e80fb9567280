from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal_api.services.ranking import band, in_reading_order, waiting_fraction
from runtime.clock import MICROSECONDS
from schemas.rows import WorklistItemRow

NOW = 1_795_226_400_000_000
URGENCIES = ["critical", "high", "routine", "undetermined", "not-analysed", "pending"]
ORDERS = ["stat", "unknown", "routine"]


def row(study, urgency, *, weight=1.0, minutes=10.0, ordered="routine"):
    return WorklistItemRow(
        site="north", shard=0, study=study, urgency=urgency, weight=weight, ordered_priority=ordered,
        received_at=NOW - int(minutes * 60 * MICROSECONDS),
    )  # fmt: skip


def order(*rows):
    return [item.row.study for item in in_reading_order(rows, NOW)]


@pytest.mark.parametrize(
    ("urgency", "ordered", "expected"),
    [
        ("critical", "routine", 0),
        ("critical", "stat", 0),
        ("high", "routine", 1),
        ("routine", "routine", 3),
        ("routine", "stat", 2),
        ("undetermined", "stat", 2),
        ("undetermined", "unknown", 2),
        ("undetermined", "routine", 3),
        ("not-analysed", "stat", 2),
        ("not-analysed", "unknown", 2),
        ("not-analysed", "routine", 3),
        ("pending", "stat", 2),
        ("pending", "routine", 3),
        ("a-class-of-tomorrow", "routine", 3),
    ],
)
def test_the_order_places_a_study_and_the_ai_only_moves_it_up(urgency, ordered, expected):
    assert band(urgency, ordered) == expected


@given(st.sampled_from(URGENCIES), st.sampled_from(ORDERS))
def test_no_result_stands_behind_no_result_yet(urgency, ordered):
    assert band(urgency, ordered) <= band("pending", ordered)


def test_classes_stand_in_their_order_whatever_has_waited():
    rows = [
        row("routine", "routine", minutes=600),
        row("high", "high", minutes=1),
        row("critical", "critical", minutes=0),
        row("not-analysed", "not-analysed", ordered="stat", minutes=300),
    ]
    assert order(*rows) == ["critical", "high", "not-analysed", "routine"]


def test_waiting_adds_up_inside_a_class():
    assert order(row("fresh", "high", weight=15, minutes=1), row("old", "high", weight=15, minutes=40)) == [
        "old",
        "fresh",
    ]


def test_a_heavier_study_overtakes_one_that_came_a_little_earlier():
    assert order(
        row("light", "routine", weight=1, minutes=20), row("heavy", "routine", weight=10, minutes=10)
    ) == ["heavy", "light"]


def test_a_pending_study_weighs_what_its_order_gives_it():
    pending = row("pending", None, weight=None, ordered="stat", minutes=5)
    scored = row("scored", "routine", weight=10.0, ordered="stat", minutes=5)
    assert [item.score for item in in_reading_order([pending, scored], NOW)] == [
        in_reading_order([scored], NOW)[0].score
    ] * 2


@given(st.permutations([row(str(n), "routine") for n in range(5)]))
def test_equal_rows_always_stand_in_the_same_order(rows):
    assert order(*rows) == ["0", "1", "2", "3", "4"]


def test_a_clock_behind_the_gateway_counts_as_no_waiting():
    (item,) = in_reading_order([row("early", "high", minutes=-5)], NOW)
    assert item.waiting_s == 0


@pytest.mark.parametrize(("of_band", "waiting_s", "fraction"), [(0, 300, 0.5), (0, 6000, 1.0), (3, 0, 0.0)])
def test_the_waiting_bar_fills_up_to_the_goal_of_the_class(of_band, waiting_s, fraction):
    assert waiting_fraction(of_band, waiting_s) == fraction
