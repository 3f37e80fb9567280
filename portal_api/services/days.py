"""Days as tables are bucketed by."""

from __future__ import annotations

import datetime as dt

from runtime.clock import MICROSECONDS


def day_of(at: int) -> str:
    """Return the UTC day (`YYYY-MM-DD`) of a time in microseconds."""
    return dt.datetime.fromtimestamp(at // MICROSECONDS, dt.UTC).date().isoformat()
