"""Alerts that wait for a person: the oldest first, and whether anybody was told."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from portal_api.identity import Person
from portal_api.services.patients import UNKNOWN, PatientView, identify
from portal_api.storage import alerts as storage
from runtime.connections import Connections
from schemas.alert_budget import ALERTS_PER_READER_HOUR, in_last_hour, load
from schemas.rows import AlertDeliveryRow, ClosedAlertRow, OpenAlertRow
from schemas.tables import day_of


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSummary:
    """What the head of every page says."""

    open: int
    oldest_raised_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryView:
    """What a notifier reported last."""

    channel: str
    status: str
    attempts: int
    status_code: int
    delivered_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertView:
    """An alert that nobody acknowledged. Times are UTC microseconds."""

    alert_id: str
    study: str
    version: int
    alert_class: str
    finding: str
    probability: float | None
    rule: str
    reason: str
    received_at: int | None
    raised_at: int | None
    demonstration: bool
    synthetic: bool
    deliveries: tuple[DeliveryView, ...]
    patient: PatientView = UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class AcknowledgedView:
    """An alert that somebody answered today."""

    alert_id: str
    study: str
    finding: str
    acknowledged_by: str
    acknowledged_at: int
    raised_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetView:
    """Pages of the last hour, and how many the site's readers are to get. A spent budget holds none back."""

    pages: int
    allowed: int
    spent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertsView:
    """The alerts page."""

    alerts: tuple[AlertView, ...]
    acknowledged: tuple[AcknowledgedView, ...]
    budget: BudgetView
    etag: str = ""


def read_alerts(connections: Connections, person: Person) -> AlertsView:
    """Read the alerts of the person's site without names."""
    tables, site, now = connections.tables, person.site, connections.clock.now()
    rows = oldest_first(storage.open_alerts(tables, site))
    closed = storage.acknowledged_on(tables, site, day_of(now))
    times = (*(row.raised_at for row in rows), *(row.raised_at for row in closed))
    raised = [at for at in times if at is not None]
    readers = next((each.readers for each in connections.settings.sites if each.name == site), 1)
    page = AlertsView(
        alerts=tuple(alert_view(row, storage.deliveries(tables, site, row.alert_id)) for row in rows),
        acknowledged=tuple(acknowledged_view(row) for row in closed),
        budget=budget_view(raised, now, readers),
    )
    return replace(page, etag=f'"{hashlib.sha256(repr(page).encode()).hexdigest()[:24]}"')


def with_names(connections: Connections, person: Person, page: AlertsView) -> AlertsView:
    """Put the patients' names in: one audited read."""
    names = identify(connections, person, sorted({alert.study for alert in page.alerts}))
    named = tuple(replace(alert, patient=names.get(alert.study, UNKNOWN)) for alert in page.alerts)
    return replace(page, alerts=named)


def budget_view(raised_at: Sequence[int], now: int, readers: int) -> BudgetView:
    """Say how much of the hour's budget is used; times are UTC microseconds."""
    return BudgetView(
        pages=in_last_hour(raised_at, now),
        allowed=int(ALERTS_PER_READER_HOUR * max(readers, 1)),
        spent=load(raised_at, now, readers) > 1,
    )


def oldest_first(rows: Sequence[OpenAlertRow]) -> list[OpenAlertRow]:
    """Order alerts by how long they wait."""
    return sorted(rows, key=lambda row: (row.raised_at or 0, row.alert_id))


def summary(rows: Sequence[OpenAlertRow]) -> AlertSummary:
    """Count what waits, and since when."""
    raised = [row.raised_at for row in rows if row.raised_at is not None]
    return AlertSummary(open=len(rows), oldest_raised_at=min(raised, default=None))


def alert_view(row: OpenAlertRow, deliveries: Sequence[AlertDeliveryRow]) -> AlertView:
    """Turn a row into what the page shows."""
    return AlertView(
        alert_id=row.alert_id,
        study=row.study or "",
        version=row.version or 0,
        alert_class=row.alert_class or "",
        finding=row.finding or "",
        probability=row.probability,
        rule=row.rule or "",
        reason=row.reason or "",
        received_at=row.received_at,
        raised_at=row.raised_at,
        demonstration=bool(row.demonstration),
        synthetic=bool(row.synthetic),
        deliveries=tuple(
            DeliveryView(
                channel=delivery.channel,
                status=delivery.status or "",
                attempts=delivery.attempts or 0,
                status_code=delivery.status_code or 0,
                delivered_at=delivery.delivered_at,
            )
            for delivery in deliveries
        ),
    )


def acknowledged_view(row: ClosedAlertRow) -> AcknowledgedView:
    """Turn a row into what the page shows."""
    return AcknowledgedView(
        alert_id=row.alert_id,
        study=row.study or "",
        finding=row.finding or "",
        acknowledged_by=row.acknowledged_by or "",
        acknowledged_at=row.acknowledged_at,
        raised_at=row.raised_at,
    )


def read_summary(connections: Connections, person: Person) -> AlertSummary:
    """Read what the head of every page says."""
    return summary(storage.open_alerts(connections.tables, person.site))
