"""One study: its row, images, findings, alerts, review and trace, each one partition."""

from __future__ import annotations

from runtime.ports import Objects, Tables
from schemas.rows import (
    AlertRow,
    FindingRow,
    ResultImageRow,
    ReviewRow,
    StudyInstanceRow,
    StudyRow,
    TraceHopRow,
)

INSTANCES = 5000
"""Rows: more images than any study we know; a longer one is cut and says so by its count."""
HOPS = 500
"""Rows: a study of many chunks leaves a few hops per chunk."""


def study(tables: Tables, site: str, study_id: str) -> StudyRow | None:
    """Read a study as the sink wrote it."""
    return tables.get(StudyRow, site=site, study=study_id)


def instances(tables: Tables, site: str, study_id: str) -> list[StudyInstanceRow]:
    """Read a study's de-identified instances."""
    return tables.select(StudyInstanceRow, site=site, study=study_id, limit=INSTANCES)


def versions_of_instance(tables: Tables, site: str, study_id: str, instance: str) -> list[StudyInstanceRow]:
    """Read every version of one instance."""
    return tables.select(StudyInstanceRow, site=site, study=study_id, instance=instance)


def findings(tables: Tables, site: str, study_id: str, revision: int) -> list[FindingRow]:
    """Read the findings of one revision."""
    return tables.select(FindingRow, site=site, study=study_id, revision=revision)


def labels(tables: Tables, site: str, study_id: str) -> frozenset[str]:
    """Read the labels of every finding that any revision had."""
    rows = tables.select(FindingRow, site=site, study=study_id, limit=INSTANCES)
    return frozenset(row.finding for row in rows)


def result_images(tables: Tables, site: str, study_id: str) -> list[ResultImageRow]:
    """Read a study's overlays, newest revision first."""
    return tables.select(ResultImageRow, site=site, study=study_id, limit=INSTANCES)


def alerts(tables: Tables, site: str, study_id: str) -> list[AlertRow]:
    """Read a study's alerts."""
    return tables.select(AlertRow, site=site, study=study_id)


def alert(tables: Tables, site: str, study_id: str, alert_id: str) -> AlertRow | None:
    """Read one alert."""
    return tables.get(AlertRow, site=site, study=study_id, alert_id=alert_id)


def review(tables: Tables, site: str, study_id: str) -> ReviewRow | None:
    """Read a study's review."""
    return tables.get(ReviewRow, site=site, study=study_id)


def hops(tables: Tables, site: str, study_id: str) -> list[TraceHopRow]:
    """Read every event of a study, oldest first."""
    return tables.select(TraceHopRow, site=site, study=study_id, limit=HOPS)


def object_bytes(objects: Objects, bucket: str, key: str) -> bytes:
    """Read an object whole; raises ObjectMissingError."""
    return objects.get(bucket, key)
