"""Findings as a reader sees them, strongest first, with what readers decided."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from portal_api.services.reviews import DecisionView
from schemas.rows import FindingRow


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxView:
    """Rectangle in pixels of the original image."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingView:
    """One finding: calibrated probability, operating point, code, place, and the reader's word on it."""

    finding: str
    meaning: str
    code_value: str
    coding_scheme: str
    code_verified: bool
    probability: float
    threshold: float
    certainty: str
    above_threshold: bool
    instance: str
    box: BoxView | None
    result_id: str
    decision: DecisionView | None


def finding_views(rows: Sequence[FindingRow], decisions: Sequence[DecisionView]) -> tuple[FindingView, ...]:
    """Turn rows into what the page shows, strongest first; the last decision on a finding counts."""
    decided = {decision.finding: decision for decision in decisions}
    views = (finding_view(row, decided.get(row.finding)) for row in rows)
    return tuple(sorted(views, key=lambda view: (-view.probability, view.finding)))


def finding_view(row: FindingRow, decision: DecisionView | None) -> FindingView:
    """Turn a row into what the page shows."""
    probability, threshold = row.probability or 0.0, row.threshold if row.threshold is not None else 1.0
    return FindingView(
        finding=row.finding,
        meaning=row.code_meaning or row.finding,
        code_value=row.code_value or "",
        coding_scheme=row.coding_scheme or "",
        code_verified=bool(row.code_verified),
        probability=probability,
        threshold=threshold,
        certainty=row.certainty or "",
        above_threshold=probability >= threshold,
        instance=row.instance or "",
        box=box(row.box),
        result_id=row.result_id or "",
        decision=decision,
    )


def box(text: str | None) -> BoxView | None:
    """Read the column `box`: a JSON array [x, y, width, height], or empty."""
    if not text:
        return None
    x, y, width, height = json.loads(text)
    return BoxView(x=x, y=y, width=width, height=height)
