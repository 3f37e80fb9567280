"""What a sink is: a module with `SPEC` and `open_sink`. It brings events to a destination, each of them idempotently."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from schemas.events import Event

REVISION_SPAN = 1_000_000
"""Logical microseconds a revision's writes may use; the next revision's are all younger."""

Outputs = Sequence[tuple[str, Event]]
"""Events to publish once the effect has happened, each with its topic."""


@dataclass(frozen=True, slots=True)
class SinkSpec:
    """A sink's declaration.

    Parameters
    ----------
    summary
        One sentence for documentation and `--list`.
    reads
        Topics it consumes.
    emits
        Topics it writes, if it reports what it did.
    """

    summary: str
    reads: tuple[str, ...]
    emits: tuple[str, ...] = ()


class Sink(Protocol):
    """A destination. Calls for different studies come from several threads, those for one study in order."""

    def write(self, topic: str, event: Event) -> Outputs:
        """Bring one event to the destination; called again with the same event after a crash.

        Raises
        ------
        OutageError
            The destination does not answer at all: tried again for ever, nothing is skipped.
        RetryError
            This event failed now and may succeed later; it is given up after `runtime.outcomes.Policy.attempts`.
        DeadLetterError
            The destination will never take this event.
        """
        ...
