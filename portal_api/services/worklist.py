"""The worklist: what waits, in reading order, filtered, and who it is about."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from portal_api.identity import Person
from portal_api.services.alerts import AlertSummary, summary
from portal_api.services.patients import UNKNOWN, PatientView, identify
from portal_api.services.ranking import Ranked, in_reading_order, waiting_fraction
from portal_api.storage import alerts as alert_storage
from portal_api.storage import worklist as storage
from runtime.clock import MICROSECONDS
from runtime.connections import Connections
from schemas.rows import WorklistItemRow
from schemas.tables import day_of

SHOWN = 200
"""Rows on a page, and so the names one request reads from the vault; what stands lower is counted, and moves up."""

UNREAD, MINE, NOT_ANALYSED = "unread", "mine", "not-analysed"
WITHOUT_RESULT = frozenset({"not-analysed", "undetermined"})
"""Urgency classes in which no model's finding ranks the study."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipView:
    """One filter with the number of studies behind it."""

    view: str
    label: str
    count: int
    chosen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WorklistRowView:
    """One study that waits. Times are UTC microseconds, durations seconds."""

    study: str
    urgency: str
    band: int
    score: float
    finding: str
    probability: float | None
    rule: str
    reason: str
    demonstration: bool
    synthetic: bool
    modality: str
    body_part: str
    instance_count: int
    revision: int
    status: str
    ordered_priority: str
    received_at: int | None
    waiting_s: float
    waiting_fraction: float
    first_result_s: float | None
    claimed_by: str
    mine: bool
    patient: PatientView = UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class WorklistView:
    """A page of the worklist."""

    site: str
    view: str
    rows: tuple[WorklistRowView, ...]
    chips: tuple[ChipView, ...]
    matching: int
    signed_today: int
    alerts: AlertSummary
    etag: str = field(default="")


def read_worklist(connections: Connections, person: Person, view: str) -> WorklistView:
    """Read the worklist without names: enough to tell whether anything changed."""
    now = connections.clock.now()
    items = in_reading_order(storage.open_items(connections.tables, person.site), now)
    chosen = [item for item in items if matches(item.row, view, person.user)]
    page = WorklistView(
        site=person.site,
        view=view,
        rows=tuple(row_view(item, person.user) for item in chosen[:SHOWN]),
        chips=chips([item.row for item in items], view, person.user),
        matching=len(chosen),
        signed_today=len(storage.signed_on(connections.tables, person.site, day_of(now))),
        alerts=summary(alert_storage.open_alerts(connections.tables, person.site)),
    )
    return replace(page, etag=etag(page))


def with_names(connections: Connections, person: Person, page: WorklistView) -> WorklistView:
    """Put the patients' names in: one audited read."""
    names = identify(connections, person, [row.study for row in page.rows])
    return replace(page, rows=tuple(replace(row, patient=names.get(row.study, UNKNOWN)) for row in page.rows))


def matches(row: WorklistItemRow, view: str, user: str) -> bool:
    """Whether a row belongs to a view; an unknown view is a modality."""
    if view == UNREAD:
        return True
    if view == MINE:
        return row.claimed_by == user
    if view == NOT_ANALYSED:
        return row.urgency in WITHOUT_RESULT
    return view in (row.modality or "").split("/")


def chips(rows: Sequence[WorklistItemRow], view: str, user: str) -> tuple[ChipView, ...]:
    """Return the filters with their counts: the fixed ones, then each modality that waits."""
    modalities = Counter(name for row in rows for name in set((row.modality or "").split("/")) if name)
    names = [(UNREAD, "Unread"), (MINE, "Mine"), (NOT_ANALYSED, "Not analysed")]
    names += [(modality, modality) for modality in sorted(modalities)]
    return tuple(
        ChipView(
            view=name,
            label=label,
            count=sum(matches(row, name, user) for row in rows),
            chosen=name == view,
        )
        for name, label in names
    )


def row_view(item: Ranked, user: str) -> WorklistRowView:
    """Turn a ranked row into what the page shows."""
    row = item.row
    return WorklistRowView(
        study=row.study,
        urgency=item.urgency,
        band=item.band,
        score=round(item.score, 1),
        finding=row.finding or "",
        probability=row.probability if row.finding else None,
        rule=row.rule or "",
        reason=row.reason or "",
        demonstration=bool(row.demonstration),
        synthetic=bool(row.synthetic),
        modality=row.modality or "",
        body_part=row.body_part or "unknown",
        instance_count=row.instance_count or 0,
        revision=row.revision or 0,
        status=row.status or "",
        ordered_priority=row.ordered_priority or "unknown",
        received_at=row.received_at,
        waiting_s=round(item.waiting_s, 1),
        waiting_fraction=round(waiting_fraction(item.band, item.waiting_s), 3),
        first_result_s=_first_result_s(row),
        claimed_by=row.claimed_by or "",
        mine=bool(row.claimed_by) and row.claimed_by == user,
    )


def _first_result_s(row: WorklistItemRow) -> float | None:
    if row.scored_at is None or row.received_at is None:
        return None
    return round(max(row.scored_at - row.received_at, 0) / MICROSECONDS, 1)


def etag(page: WorklistView) -> str:
    """Return a validator (RFC 9110 §8.8.3) that changes with a value or with the order, not with time passing."""
    rows = [replace(row, score=0.0, waiting_s=0.0, waiting_fraction=0.0) for row in page.rows]
    text = repr((page.view, rows, page.chips, page.matching, page.signed_today, page.alerts))
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:24]}"'
