"""`radstream trace STUDY`: each event of a study, with its time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cli import outcome
from runtime.clock import MICROSECONDS
from runtime.ports import Tables
from schemas.rows import TraceHopRow


@dataclass(frozen=True, slots=True)
class TracedHop:
    """One event of a study.

    Parameters
    ----------
    after_s
        Seconds after the gateway's receipt.
    topic, event, producer, revision
        What was written, by whom.
    """

    after_s: float
    topic: str
    event: str
    producer: str
    revision: int


def hops_of(rows: Sequence[TraceHopRow], received_at: int) -> list[TracedHop]:
    """Order a study's events by time and count from its receipt (UTC microseconds)."""
    return [
        TracedHop(
            round(((row.recorded_at or 0) - received_at) / MICROSECONDS, 3),
            row.topic or "",
            row.event or "",
            row.producer or "",
            row.revision or 0,
        )
        for row in sorted(rows, key=lambda row: row.recorded_at or 0)
    ]


def trace(tables: Tables, sites: Sequence[str], study: str) -> list[TracedHop]:
    """Find a study by its key among the sites and return its events; empty when no site has it."""
    for site in sites:
        found = outcome.read(tables, site, study)
        if found.hops:
            received = found.row.received_at if found.row is not None else found.hops[0].recorded_at
            return hops_of(found.hops, received or 0)
    return []
