"""Who reads which topics, and when all of them have nothing left to do."""

from __future__ import annotations

import time

from cli.components import consumers, reads
from tests.support.system import System, wait_until

QUIET_S = 1.0
"""seconds for which nothing may be left to do: longer than any process holds what it has read before others can see it."""


def topics_read() -> dict[str, tuple[str, ...]]:
    """Topics of every step, sink and notifier."""
    return {name: reads(name) for name in consumers()}


def come_to_rest(system: System) -> None:
    """Wait until every record is acknowledged and no deadline is left, and has been for a while."""
    readers = topics_read()
    quiet_since = time.monotonic()

    def at_rest() -> bool:
        nonlocal quiet_since
        if any(system.uncommitted(name, topics) or system.pending(name) for name, topics in readers.items()):
            quiet_since = time.monotonic()
        time.sleep(0.1)
        return time.monotonic() - quiet_since >= QUIET_S

    wait_until(at_rest, "everything is acknowledged and no deadline is left")
