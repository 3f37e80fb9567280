"""The open worklist of a site."""

from __future__ import annotations

from runtime.ports import Tables
from schemas.rows import ClosedStudyRow, WorklistItemRow
from schemas.tables import WORKLIST_SHARDS

ROWS_PER_SHARD = 500
"""Rows: four times as many is more than a department leaves unread, and one page reads them in well under a second."""
CLOSED_ROWS = 1000
"""Rows: studies that a site signs in a day."""


def open_items(tables: Tables, site: str) -> list[WorklistItemRow]:
    """Read every open study of a site, in no particular order."""
    return [
        row
        for shard in range(WORKLIST_SHARDS)
        for row in tables.select(WorklistItemRow, site=site, shard=shard, limit=ROWS_PER_SHARD)
    ]


def signed_on(tables: Tables, site: str, day: str) -> list[ClosedStudyRow]:
    """Read the studies a site signed on a day (UTC, `YYYY-MM-DD`), newest first."""
    return tables.select(ClosedStudyRow, site=site, day=day, limit=CLOSED_ROWS)
