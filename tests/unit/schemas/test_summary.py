"""Where a demonstration falls short, it says in what."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from schemas.summary import DemoSummary, shortfalls

FULL = DemoSummary(
    studies=12,
    public_studies=8,
    synthetic_studies=4,
    instances=14,
    findings=3,
    not_analysed={"no model for CT": 8},
    alerts_delivered=1,
    quarantined={"truncated": 1},
    hops={"findings.v1": 1.0},
    seconds=20.0,
    portal_url="",
    inference_backend="triton",
)


def test_a_full_run_has_no_shortfall() -> None:
    assert shortfalls(FULL, public=8, synthetic=4, quarantined=1) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"public_studies": 7}, "public studies"),
        ({"synthetic_studies": 3}, "synthetic studies"),
        ({"findings": 0}, "finding"),
        ({"alerts_delivered": 0}, "alert"),
        ({"quarantined": {}}, "quarantined"),
        ({"inference_backend": ""}, "backend"),
    ],
)
def test_each_shortfall_is_said_by_itself(change: dict[str, Any], told: str) -> None:
    (said,) = shortfalls(replace(FULL, **change), public=8, synthetic=4, quarantined=1)
    assert told in said
