"""`radstream pages`: whether readers agreed with what they were paged for, by rule.

A page counts as judged when its alert was acknowledged in the time asked for and a reader accepted or rejected its finding
and signed; the signature may be of a later day.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from runtime.clock import MICROSECONDS
from runtime.ports import Tables
from schemas.rows import AlertRow, ClosedAlertRow, ReviewRow
from stream_processors.risk.budget import demotion_proposed, lower_bound

PAGE = 1000
"""Rows read at once."""


@dataclass(frozen=True, slots=True)
class JudgedRule:
    """The pages of one rule.

    Parameters
    ----------
    rule
        Rule id (`docs/risk.md`).
    pages, judged, right
        How many were acknowledged, of these how many a signed review speaks of, of these how many were accepted.
    at_least
        Lower 95 % bound of the share that was right.
    worklist_only_proposed
        Whether that speaks against paging by this rule; a person decides.
    """

    rule: str
    pages: int
    judged: int
    right: int
    at_least: float
    worklist_only_proposed: bool


def judged_pages(tables: Tables, site: str, days: Sequence[str]) -> list[JudgedRule]:
    """Count a site's pages of some days (UTC, `2026-11-21`) by rule."""
    counted, judged, right = Counter[str](), Counter[str](), Counter[str]()
    for closed in _closed(tables, site, days):
        alert = tables.get(AlertRow, site=site, study=closed.study or "", alert_id=closed.alert_id)
        if alert is None or not alert.rule:
            continue
        counted[alert.rule] += 1
        said = _decision(tables, site, closed.study or "", alert.finding or "")
        judged[alert.rule] += said is not None
        right[alert.rule] += said == "accepted"
    return [
        JudgedRule(
            rule, pages, judged[rule], right[rule], round(lower_bound(right[rule], judged[rule]), 4),
            demotion_proposed(right[rule], judged[rule]),
        )
        for rule, pages in sorted(counted.items())
    ]  # fmt: skip


def days_back(now: int, count: int) -> list[str]:
    """The last days (UTC), today first; `now` in UTC microseconds."""
    today = datetime.fromtimestamp(now // MICROSECONDS, UTC).date()
    return [(today - timedelta(days=back)).isoformat() for back in range(count)]


def _closed(tables: Tables, site: str, days: Sequence[str]) -> Iterator[ClosedAlertRow]:
    for day in days:
        after: tuple[int, str] | None = None
        while True:
            rows = tables.select(ClosedAlertRow, site=site, day=day, limit=PAGE, after=after)
            yield from rows
            if len(rows) < PAGE:
                break
            after = (rows[-1].acknowledged_at, rows[-1].alert_id)


def _decision(tables: Tables, site: str, study: str, finding: str) -> str | None:
    """What a signed review says of a finding, None without one."""
    review = tables.get(ReviewRow, site=site, study=study)
    if review is None or review.status != "signed":
        return None
    said = (each for each in json.loads(review.decisions or "[]") if each["finding"] == finding)
    return next((str(each["decision"]) for each in said), None)
