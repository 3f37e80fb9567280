"""What operators look at: files that processes write of themselves, offsets, quarantine, audit."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx

from runtime.ports import Log, Partition, Tables
from schemas.rows import AuditEntryRow, QuarantinedObjectRow

PROBE_TIMEOUT_S = 0.5
"""Seconds: a process on the same network that takes longer to say "ready" is not."""
ROWS = 5000
"""Rows of a day's bucket that a page reads at most."""


def components(data: Path) -> list[tuple[str, dict[str, Any]]]:
    """Read what each process wrote of itself to `run/<name>.json`; a file being written is left out this once."""
    found = []
    for file in sorted((data / "run").glob("*.json")):
        try:
            about = json.loads(file.read_text("utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(about, dict):
            found.append((file.stem, about))
    return found


def readiness(health: str) -> int | None:
    """Ask a process whether it is ready; returns the HTTP status, None without an answer."""
    if not health.startswith("http://"):
        return None
    try:
        return httpx.get(f"{health.rstrip('/')}/readyz", timeout=PROBE_TIMEOUT_S).status_code
    except httpx.HTTPError:
        return None


def offsets(
    log: Log, groups: Iterable[str], topics: Iterable[str]
) -> tuple[dict[Partition, int], dict[str, dict[Partition, int]]]:
    """Read the end offsets of the topics that exist, and what each group has committed of them."""
    existing = log.topics()
    ends = {
        (topic, number): end
        for topic in topics
        if topic in existing
        for number, end in log.end_offsets(topic).items()
    }
    return ends, {group: log.committed(group, ends) for group in groups}


def quarantined_on(tables: Tables, site: str, day: str) -> list[QuarantinedObjectRow]:
    """Read the objects refused on a day (UTC, `YYYY-MM-DD`)."""
    return tables.select(QuarantinedObjectRow, site=site, day=day, limit=ROWS)


def audit_on(tables: Tables, site: str, day: str) -> list[AuditEntryRow]:
    """Read the audit entries of a day (UTC, `YYYY-MM-DD`)."""
    return tables.select(AuditEntryRow, site=site, day=day, limit=ROWS)
