"""How much of the readers' alert budget is used, as the alerts page says it."""

from __future__ import annotations

import pytest

from portal_api.services.alerts import BudgetView, budget_view

HOUR = 3_600_000_000
NOW = 10 * HOUR


@pytest.mark.parametrize(
    ("ago", "readers", "said"),
    [
        ([], 1, BudgetView(pages=0, allowed=5, spent=False)),
        ([0, 1, 2, 3, HOUR - 1, HOUR, 2 * HOUR], 1, BudgetView(pages=5, allowed=5, spent=False)),
        ([1] * 6, 1, BudgetView(pages=6, allowed=5, spent=True)),
        ([1] * 6, 3, BudgetView(pages=6, allowed=15, spent=False)),
        ([-1], 0, BudgetView(pages=0, allowed=5, spent=False)),
    ],
)
def test_the_pages_of_the_last_hour_are_held_to_the_budget(
    ago: list[int], readers: int, said: BudgetView
) -> None:
    assert budget_view([NOW - each for each in ago], NOW, readers) == said
