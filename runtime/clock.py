"""Time as an argument: processes use the system's clock, tests their own."""

from __future__ import annotations

import time
from typing import Protocol

from schemas.tables import MICROSECONDS

__all__ = ["MICROSECONDS", "Clock", "SystemClock"]


class Clock(Protocol):
    """Where times come from."""

    def now(self) -> int:
        """UTC microseconds since 1970: for what is written down."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back: for durations inside a process."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> int:
        """UTC microseconds since 1970."""
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        """Seconds since some fixed moment."""
        return time.monotonic()
