"""How many pages people can take, and what a page is worth: expected and observed share of right ones. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

ALERTS_PER_READER_HOUR = 5.0
"""Pages a reader is to get in an hour at most; more are not looked at."""
LOWEST_PPV = 0.20
"""Share of right pages below which a rule is proposed for the worklist only."""
LEAST_JUDGED = 20
"""Pages that readers must have judged before a share is taken from them."""
Z95 = 1.959964
"""Standard normal quantile of a two-sided interval of 95 %."""


def load(raised_at: Sequence[int], now: int, readers: int) -> float:
    """Share of the hour's budget that was used; over 1 it is spent.

    A spent budget holds no page back, since minutes matter; it is a fault of rules or models, and is told to operations.

    Parameters
    ----------
    raised_at
        Times of pages, UTC microseconds.
    now
        End of the hour, UTC microseconds.
    readers
        People who get them.
    """
    recent = sum(1 for at in raised_at if now - 3_600_000_000 < at <= now)
    return recent / (ALERTS_PER_READER_HOUR * max(readers, 1))


def expected_ppv(sensitivity: float, specificity: float, prevalence: float) -> float:
    """Share of right answers among the positive ones at a prevalence; 0 where nothing is positive."""
    right = sensitivity * prevalence
    wrong = (1 - specificity) * (1 - prevalence)
    return right / (right + wrong) if right + wrong > 0 else 0.0


def lower_bound(right: int, judged: int) -> float:
    """Wilson's lower 95 % bound of a share; 0 of nothing."""
    if judged == 0:
        return 0.0
    share, z2 = right / judged, Z95 * Z95
    middle = share + z2 / (2 * judged)
    spread = Z95 * math.sqrt(share * (1 - share) / judged + z2 / (4 * judged * judged))
    return max((middle - spread) / (1 + z2 / judged), 0.0)


def demotion_proposed(right: int, judged: int) -> bool:
    """Whether a week's judgements speak against paging by a rule. A person decides; then it is named in `rules.DEMOTED`."""
    return judged >= LEAST_JUDGED and lower_bound(right, judged) < LOWEST_PPV
