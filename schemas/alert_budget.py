"""How many pages readers can take: risk states it, and who shows alerts shows how much of it is used. Pure."""

from __future__ import annotations

from collections.abc import Sequence

ALERTS_PER_READER_HOUR = 5.0
"""Pages a reader is to get in an hour at most; more are not looked at."""
HOUR_US = 3_600_000_000
"""Microseconds of the hour that is counted."""


def in_last_hour(raised_at: Sequence[int], now: int) -> int:
    """Pages of the hour before ``now``; all times UTC microseconds."""
    return sum(1 for at in raised_at if now - HOUR_US < at <= now)


def load(raised_at: Sequence[int], now: int, readers: int) -> float:
    """Share of the hour's budget that was used; over 1 it is spent.

    A spent budget holds no page back, since minutes matter; it is a fault of rules or models, and is told to operations.

    Parameters
    ----------
    raised_at
        Times of pages, UTC microseconds.
    now
        End of the hour, UTC microseconds.
    readers
        People who get them.
    """
    return in_last_hour(raised_at, now) / (ALERTS_PER_READER_HOUR * max(readers, 1))
