"""What a page is worth: expected and observed share of right ones. How many people can take: `schemas.alert_budget`. Pure."""

from __future__ import annotations

import math

LOWEST_PPV = 0.20
"""Share of right pages below which a rule is proposed for the worklist only."""
LEAST_JUDGED = 20
"""Pages that readers must have judged before a share is taken from them."""
Z95 = 1.959964
"""Standard normal quantile of a two-sided interval of 95 %."""


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
