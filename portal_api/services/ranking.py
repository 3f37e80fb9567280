"""What is read first: bands by class, and inside a band the priority that accumulated while waiting. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from runtime.clock import MICROSECONDS
from schemas.priority import priority_score
from schemas.rows import WorklistItemRow

PENDING = "pending"
"""Urgency of a study without a result yet."""

CRITICAL_BAND, HIGH_BAND, URGENT_ORDER_BAND, ROUTINE_BAND = range(4)

_AI_BANDS = {"critical": CRITICAL_BAND, "high": HIGH_BAND}
_ORDER_BANDS = {"routine": ROUTINE_BAND}
"""`stat` and everything unknown stand above what was ordered as routine: the stricter rule for what is not known."""

_ORDER_WEIGHTS = {"routine": 1.0}
_URGENT_ORDER_WEIGHT = 10.0
"""Weights of a study that nothing has scored yet: those its order alone gives it, so a first result never moves it down."""

TARGET_WAIT_S = {
    CRITICAL_BAND: 10 * 60.0,
    HIGH_BAND: 30 * 60.0,
    URGENT_ORDER_BAND: 60 * 60.0,
    ROUTINE_BAND: 8 * 3600.0,
}
"""Seconds after which the waiting bar is full: usual goals for critical, urgent, stat and routine reads. Shown, not enforced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """A row of the worklist with its place."""

    row: WorklistItemRow
    urgency: str
    band: int
    score: float
    waiting_s: float


def band(urgency: str, ordered_priority: str) -> int:
    """Return the band of a study, 0 first.

    The order places a study; the AI may only move it up from there. So an undetermined, not analysed or pending study
    stands where its order puts it, and a result "routine" never puts a study behind one that nobody has looked at.
    """
    return min(_AI_BANDS.get(urgency, ROUTINE_BAND), _ORDER_BANDS.get(ordered_priority, URGENT_ORDER_BAND))


def ranked(row: WorklistItemRow, now: int) -> Ranked:
    """Give a row its place at a time (UTC microseconds)."""
    urgency = row.urgency or PENDING
    order = row.ordered_priority or "unknown"
    waiting = max((now - row.received_at) / MICROSECONDS, 0.0) if row.received_at is not None else 0.0
    weight = row.weight if row.weight is not None else _ORDER_WEIGHTS.get(order, _URGENT_ORDER_WEIGHT)
    return Ranked(
        row=row,
        urgency=urgency,
        band=band(urgency, order),
        score=priority_score(weight, waiting),
        waiting_s=waiting,
    )


def in_reading_order(rows: Iterable[WorklistItemRow], now: int) -> list[Ranked]:
    """Order rows: band, then accumulated priority, then arrival; equal rows by study, so that the order is total."""
    return sorted(
        (ranked(row, now) for row in rows),
        key=lambda item: (item.band, -item.score, item.row.received_at or 0, item.row.study),
    )


def waiting_fraction(item_band: int, waiting_s: float) -> float:
    """Return waiting time as a fraction of the band's target, at most 1."""
    return min(waiting_s / TARGET_WAIT_S[item_band], 1.0)
