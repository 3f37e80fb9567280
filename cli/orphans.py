"""`radstream reconcile --orphans`: raw objects that nothing refers to.

A gateway that dies between storing an object and writing its row leaves one; the sender was never told "stored" and sends
again. It is not lost, only left over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from runtime.buckets import RAW
from runtime.clock import MICROSECONDS
from runtime.connections import Connections
from runtime.ports import Tables
from schemas.rows import ReceivedInstanceRow, ReceivedStudyRow

OLD = timedelta(days=1)
"""No request lasts as long: what is younger may still be in work."""
PAGE = 1000
"""Rows read at once."""


@dataclass(frozen=True, slots=True, order=True)
class Orphan:
    """A raw object without a row.

    Parameters
    ----------
    site, day
        Who sent it, and on which day (UTC, `2026-11-21`).
    object_key
        Its key in the raw bucket; carries no identity.
    size
        Stored bytes.
    """

    site: str
    day: str
    object_key: str
    size: int


def orphans(connections: Connections, sites: Sequence[str]) -> list[Orphan]:
    """Return the raw objects of sites, received before yesterday, that no row of an acknowledged instance refers to."""
    today = datetime.fromtimestamp(connections.clock.now() // MICROSECONDS, UTC).date()
    return sorted(orphan for site in sites for orphan in _of_site(connections, site, today))


def _of_site(connections: Connections, site: str, today: date) -> Iterator[Orphan]:
    found = [
        Orphan(site, "-".join(info.key.split("/")[1:4]), info.key, info.size)
        for info in connections.objects.keys(RAW, f"{site}/")
    ]
    old = [orphan for orphan in found if orphan.day < (today - OLD).isoformat()]
    if not old:
        return
    # A study stands under the day of its first receipt; a duplicate's object may be younger, one before midnight older.
    first = date.fromisoformat(min(orphan.day for orphan in old)) - OLD
    days = [(first + timedelta(days=number)).isoformat() for number in range((today - first).days + 1)]
    known = {key for day in days for key in _referred_to(connections.tables, site, day)}
    yield from (orphan for orphan in old if orphan.object_key not in known)


def _referred_to(tables: Tables, site: str, day: str) -> Iterator[str]:
    """Object keys in the rows of every study that a site sent something of on a day."""
    for study in _studies(tables, site, day):
        after: tuple[str, str] | None = None
        while True:
            rows = tables.select(ReceivedInstanceRow, site=site, study=study, limit=PAGE, after=after)
            yield from (row.object_key for row in rows if row.object_key)
            if len(rows) < PAGE:
                break
            after = (rows[-1].instance, rows[-1].raw_digest)


def _studies(tables: Tables, site: str, day: str) -> Iterator[str]:
    after: tuple[str] | None = None
    while True:
        rows = tables.select(ReceivedStudyRow, site=site, day=day, limit=PAGE, after=after)
        yield from (row.study for row in rows)
        if len(rows) < PAGE:
            return
        after = (rows[-1].study,)
