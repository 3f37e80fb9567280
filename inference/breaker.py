"""Keeps callers from queueing at a server that is away, and a process from holding more tensors than it can. No I/O."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

FAILURES = 5
"""Consecutive failures that open the circuit: one batch of callers in flight may fail for one hiccup."""
PAUSE_S = 1.0
"""How long an open circuit refuses before one request may try: a restarted server is back in 1 to 3 s."""


@dataclass(frozen=True)
class Circuit:
    """Closed while the server answers. Pure: each event gives the next state; times are seconds of any one clock."""

    failures: int = 0
    opened_at: float | None = None

    def allows(self, now: float) -> bool:
        """Whether a request may go: always when closed, and after the pause, as a try."""
        return self.opened_at is None or now >= self.opened_at + PAUSE_S

    def tried(self, now: float) -> Circuit:
        """A request goes: where it is a try, the next ones wait another pause for its answer."""
        return self if self.opened_at is None else Circuit(self.failures, now)

    def succeeded(self) -> Circuit:
        """The server answered, whatever it said of the request."""
        return Circuit()

    def failed(self, now: float) -> Circuit:
        """The server was not reached, or not in time."""
        failures = self.failures + 1
        return Circuit(failures, now if failures >= FAILURES else None)


class BytesInFlight:
    """A bound on bytes that are sent and not answered; one request may be larger than the bound, alone."""

    def __init__(self, limit: int) -> None:
        self._limit, self._used = limit, 0
        self._freed = asyncio.Condition()

    @asynccontextmanager
    async def hold(self, size: int) -> AsyncIterator[None]:
        """Wait until ``size`` bytes fit, and hold them."""
        async with self._freed:
            await self._freed.wait_for(lambda: self._used == 0 or self._used + size <= self._limit)
            self._used += size
        try:
            yield
        finally:
            self._used -= size
            async with self._freed:
                self._freed.notify_all()
