"""Alerts that wait for a person, and what their notifiers reported."""

from __future__ import annotations

from runtime.ports import Tables
from schemas.rows import AlertDeliveryRow, ClosedAlertRow, OpenAlertRow
from schemas.tables import WORKLIST_SHARDS

ALERTS_PER_SHARD = 200
"""Rows: more unacknowledged alerts than any team could page for."""


def open_alerts(tables: Tables, site: str) -> list[OpenAlertRow]:
    """Read every alert of a site that nobody acknowledged, in no particular order."""
    return [
        row
        for shard in range(WORKLIST_SHARDS)
        for row in tables.select(OpenAlertRow, site=site, shard=shard, limit=ALERTS_PER_SHARD)
    ]


def acknowledged_on(tables: Tables, site: str, day: str) -> list[ClosedAlertRow]:
    """Read the alerts acknowledged on a day (UTC, `YYYY-MM-DD`), newest first."""
    return tables.select(ClosedAlertRow, site=site, day=day, limit=ALERTS_PER_SHARD)


def deliveries(tables: Tables, site: str, alert_id: str) -> list[AlertDeliveryRow]:
    """Read the last outcome of each channel."""
    return tables.select(AlertDeliveryRow, site=site, alert_id=alert_id)
