"""The alert budget and what a page is worth."""

from __future__ import annotations

import pytest

from schemas.alert_budget import load
from stream_processors.risk.budget import demotion_proposed, expected_ppv, lower_bound

HOUR = 3_600_000_000


def test_the_budget_counts_the_pages_of_the_last_hour_per_reader() -> None:
    pages = [HOUR, HOUR + 1, 2 * HOUR, 2 * HOUR + 1]
    assert load(pages, 2 * HOUR, 1) == pytest.approx(2 / 5)
    assert load([2 * HOUR] * 11, 2 * HOUR, 2) == pytest.approx(1.1)


def test_the_expected_share_of_right_pages_falls_with_prevalence() -> None:
    assert expected_ppv(0.93, 0.93, 0.03) == pytest.approx(0.0279 / (0.0279 + 0.0679))
    assert expected_ppv(0.9, 1.0, 0.0) == 0.0


@pytest.mark.parametrize(
    ("right", "judged", "bound"), [(0, 0, 0.0), (0, 20, 0.0), (10, 20, 0.2993), (20, 20, 0.8389)]
)
def test_the_lower_bound_is_wilson_s(right: int, judged: int, bound: float) -> None:
    assert lower_bound(right, judged) == pytest.approx(bound, abs=1e-4)


@pytest.mark.parametrize(
    ("right", "judged", "proposed"), [(0, 19, False), (0, 20, True), (7, 20, True), (8, 20, False)]
)
def test_a_rule_is_proposed_for_the_worklist_only_once_enough_was_judged(
    right: int, judged: int, proposed: bool
) -> None:
    assert demotion_proposed(right, judged) is proposed
