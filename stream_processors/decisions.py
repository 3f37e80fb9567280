"""Deciding once: a row under compare-and-set that remembers every state it passed and the input that caused it.

A redelivered input finds its own states in the history and publishes them again; it never decides a second time. That holds even
when later inputs have changed the row since, which happens whenever a process dies between the decision and the publication.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Protocol, TypeVar

from runtime.errors import RetryError
from schemas.events import AlertCommand, Event, ReviewCommand
from schemas.tables import TableSpec
from stream_processors.step import DeadlineReached, StepContext

ATTEMPTS = 16
"""Tries of one compare-and-set before the input is delivered again: a key has one consumer, so even a second try is rare."""


class Decided(Protocol):
    """A row whose `version` counts its changes."""

    TABLE: ClassVar[TableSpec]

    @property
    def version(self) -> int | None:
        """Changes so far; None for a row without decided columns."""
        ...


R = TypeVar("R", bound=Decided)


@dataclass(frozen=True, slots=True)
class Entry:
    """One decided state.

    Parameters
    ----------
    version
        The row's version with this state.
    cause
        `cause_of` the input.
    at
        Time of the decision, UTC microseconds.
    state
        What was decided, as JSON values.
    """

    version: int
    cause: str
    at: int
    state: dict[str, Any]


def cause_of(cause: Event | DeadlineReached) -> str:
    """Name an input so that a redelivery, or a command sent again in another event, has the same name."""
    if isinstance(cause, DeadlineReached):
        return f"{cause.name}@{cause.due_at}"
    if isinstance(cause, AlertCommand | ReviewCommand):
        return cause.command_id
    return cause.envelope.event_id


def entries(history: str | None) -> tuple[Entry, ...]:
    """Read a row's history, oldest first."""
    return tuple(Entry(**entry) for entry in json.loads(history or "[]"))


def appended(history: str | None, entry: Entry) -> str:
    """Add an entry to a row's history."""
    return canonical([*json.loads(history or "[]"), asdict(entry)])


def caused_by(history: str | None, cause: str) -> Entry | None:
    """Find the state an input caused, if it caused one."""
    return next((entry for entry in entries(history) if entry.cause == cause), None)


def canonical(value: Any) -> str:
    """JSON with one spelling, so that equal values are equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


async def decide(
    context: StepContext, row_type: type[R], key: dict[str, str], choose: Callable[[R | None], R | None]
) -> R | None:
    """Bring a row to what a pure function makes of it.

    Parameters
    ----------
    context
        The step's context.
    row_type
        Class of the row.
    key
        Its whole primary key.
    choose
        Pure: the row as it is (None: not decided yet) to the row as it shall be, None for no change.

    Returns
    -------
    R | None
        The row as it is now.

    Raises
    ------
    RetryError
        Somebody else keeps changing the row.
    """
    tables = context.tables
    for _ in range(ATTEMPTS):
        found = await context.io(lambda: tables.get(row_type, **key))
        current = found if found is not None and found.version is not None else None
        wanted = choose(current)
        if wanted is None:
            return current
        if current is None:
            swap = await context.io(tables.insert_if_absent, wanted)
        else:
            swap = await context.io(tables.compare_and_set, wanted, expect={"version": current.version})
        if swap.applied:
            return wanted
    raise RetryError("a row under compare-and-set keeps changing")
