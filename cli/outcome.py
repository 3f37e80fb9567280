"""What a run has come to, read from its tables: one study's state, and the figures of a summary."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from runtime.clock import MICROSECONDS
from runtime.ports import Tables
from schemas.rows import AlertRow, FindingRow, QuarantinedObjectRow, StudyInstanceRow, StudyRow, TraceHopRow

PAGE = 1000
"""Rows read at once."""


@dataclass(frozen=True, slots=True)
class StudyOutcome:
    """One study as the tables tell it.

    Parameters
    ----------
    site, study
        Which.
    row
        Its row in `studies`, None before the first event arrived there.
    findings
        Findings of the newest result.
    alerts
        Its alerts.
    hops
        Its events, oldest first.
    instances
        De-identified instances.
    """

    site: str
    study: str
    row: StudyRow | None
    findings: tuple[FindingRow, ...]
    alerts: tuple[AlertRow, ...]
    hops: tuple[TraceHopRow, ...]
    instances: int

    @property
    def finished(self) -> bool:
        """Whether there is a result and a place in the reading order."""
        return self.row is not None and self.row.result_status is not None and self.row.urgency is not None

    @property
    def positive(self) -> int:
        """Findings at or above their threshold."""
        return sum((finding.probability or 0) >= (finding.threshold or 1) for finding in self.findings)


def read(tables: Tables, site: str, study: str) -> StudyOutcome:
    """Read one study's outcome."""
    row = tables.get(StudyRow, site=site, study=study)
    findings: list[FindingRow] = []
    if row is not None and row.result_revision is not None:
        findings = tables.select(FindingRow, site=site, study=study, revision=row.result_revision, limit=PAGE)
    hops = tables.select(TraceHopRow, site=site, study=study, limit=PAGE)
    return StudyOutcome(
        site,
        study,
        row,
        tuple(findings),
        tuple(tables.select(AlertRow, site=site, study=study, limit=PAGE)),
        tuple(sorted(hops, key=lambda hop: hop.recorded_at or 0)),
        len(tables.select(StudyInstanceRow, site=site, study=study, limit=PAGE)),
    )


def quarantined(tables: Tables, sites: Iterable[str], days: Sequence[str]) -> Counter[str]:
    """Count refused objects by reason class."""
    found: Counter[str] = Counter()
    for site in sites:
        for day in days:
            rows = tables.select(QuarantinedObjectRow, site=site, day=day, limit=PAGE)
            found.update(row.reason or "unknown" for row in rows)
    return found


def median_hops(outcomes: Iterable[StudyOutcome]) -> dict[str, float]:
    """Median seconds from receipt to the first event of each kind, over the analysed studies, in order of time."""
    times: dict[str, list[float]] = {}
    for outcome in outcomes:
        if outcome.row is None or outcome.row.result_status != "analysed":
            continue
        received = outcome.row.received_at or 0
        first: dict[str, int] = {}
        for hop in outcome.hops:
            first.setdefault(hop.topic or "", hop.recorded_at or 0)
        for topic, at in first.items():
            times.setdefault(topic, []).append((at - received) / MICROSECONDS)
    medians = {topic: round(statistics.median(values), 3) for topic, values in times.items()}
    return dict(sorted(medians.items(), key=lambda item: item[1]))
