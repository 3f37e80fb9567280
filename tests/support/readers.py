"""Who reads which topics, and when all of them have nothing left to do."""

from __future__ import annotations

import time

from cli.components import consumers, reads
from tests.support.system import System

QUIET_S = 1.0
"""seconds for which nothing may be left to do: longer than any process holds what it has read before others can see it."""
QUIET_LOOKS = 5
"""Looks in a row that find nothing: they ask one reader after the other, and what goes on between two questions is missed."""

REST_S = 600.0
"""seconds until everything sent has come to its end, with every repetition that crashes and redelivery made."""


def topics_read() -> dict[str, tuple[str, ...]]:
    """Topics of every step, sink and notifier."""
    return {name: reads(name) for name in consumers()}


def come_to_rest(system: System) -> None:
    """Wait until every record is acknowledged and no deadline is left, and has been for a while.

    AssertionError names who still had something to do: a verdict on a system at work would be no verdict.
    """
    readers = topics_read()
    deadline, quiet_since, looks = time.monotonic() + REST_S, time.monotonic(), 0
    while looks < QUIET_LOOKS or time.monotonic() - quiet_since < QUIET_S:
        busy = {
            name: left
            for name, topics in readers.items()
            if (left := system.uncommitted(name, topics) + system.pending(name))
        }
        looks += 1
        if busy:
            quiet_since, looks = time.monotonic(), 0
        assert time.monotonic() < deadline, f"records and deadlines left after {REST_S:g} s: {busy}"
        time.sleep(0.1)
