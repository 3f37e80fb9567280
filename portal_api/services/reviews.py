"""The review of a study: what readers decided, and the version a command has to name."""

from __future__ import annotations

import json
from dataclasses import dataclass

from schemas.rows import ReviewRow


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionView:
    """What a reader said of a finding; the time is UTC microseconds."""

    finding: str
    decision: str
    actor: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewView:
    """A study's review as it stands."""

    version: int
    """0 before the first command."""
    revision: int
    """Revision that the last command was on, 0 before the first."""
    status: str
    claimed_by: str
    mine: bool
    decisions: tuple[DecisionView, ...]
    signed_by: str
    signed_at: int | None
    closed: bool
    """Signed, and no later revision has come since: nothing more to do."""


def review_view(row: ReviewRow | None, user: str, study_revision: int) -> ReviewView:
    """Turn a row into what the page shows; no row is an open review of version 0."""
    row = row if row is not None else ReviewRow(site="", study="")
    return ReviewView(
        version=row.version or 0,
        revision=row.revision or 0,
        status=row.status or "open",
        claimed_by=row.claimed_by or "",
        mine=bool(row.claimed_by) and row.claimed_by == user,
        decisions=decisions(row.decisions),
        signed_by=row.signed_by or "",
        signed_at=row.signed_at,
        closed=bool(row.signed_by) and (row.revision or 0) >= study_revision,
    )


def decisions(text: str | None) -> tuple[DecisionView, ...]:
    """Read the column `decisions`: a JSON array of `FindingDecision` objects."""
    return tuple(
        DecisionView(
            finding=entry["finding"], decision=entry["decision"], actor=entry["actor"], at=entry["at"]
        )
        for entry in json.loads(text or "[]")
    )
