"""What people ask for: a command on the log, and the outcome that comes back through a table."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from starlette.concurrency import run_in_threadpool

from portal_api.identity import Person
from portal_api.services.access import MissingError
from portal_api.services.reviews import ReviewView, review_view
from portal_api.storage import commands as storage
from portal_api.storage import studies
from runtime.connections import Connections
from schemas.rows import AlertOutcomeRow, ReviewOutcomeRow

WAIT_S = 2.0
"""Seconds a person waits for the outcome before "accepted" is the answer."""
POLL_S = 0.05
"""Seconds between two looks: a tenth of what a person notices."""

DONE, CONFLICT, REFUSED, ACCEPTED = "done", "conflict", "refused", "accepted"
STATUS_CODES = {DONE: 200, CONFLICT: 409, REFUSED: 422, ACCEPTED: 202}
"""HTTP status of each answer; what is not named here is not an outcome we know, and is told as accepted."""

Outcome = ReviewOutcomeRow | AlertOutcomeRow


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewRequest:
    """What a reader asks for, with the state they saw."""

    action: str
    finding: str
    revision_seen: int
    version_seen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of a command."""

    state: str
    detail: str
    command_id: str
    version: int | None
    review: ReviewView | None = None
    """The review as it stands now, so that the person sees who changed what."""


async def review(connections: Connections, person: Person, study: str, request: ReviewRequest) -> Answer:
    """Ask for a change of a study's review and wait a moment for the outcome; raises MissingError."""
    if await run_in_threadpool(studies.study, connections.tables, person.site, study) is None:
        raise MissingError("study")
    known = partial(studies.labels, connections.tables, person.site, study)
    if request.finding and request.finding not in await run_in_threadpool(known):
        raise MissingError("finding")  # what a person types goes onto no topic
    publish = partial(
        storage.publish_review,
        connections,
        site=person.site,
        study=study,
        action=request.action,
        finding=request.finding,
        revision_seen=request.revision_seen,
        version_seen=request.version_seen,
        actor=person.user,
        actor_role=person.role,
    )
    command_id = await run_in_threadpool(publish)
    outcome = await _outcome(
        connections, partial(storage.review_outcome, connections, person.site, command_id)
    )
    row = await run_in_threadpool(studies.review, connections.tables, person.site, study)
    return answer(command_id, outcome, review_view(row, person.user, request.revision_seen))


async def acknowledge(
    connections: Connections, person: Person, study: str, alert_id: str, version_seen: int
) -> Answer:
    """Ask for an alert to be acknowledged and wait a moment for the outcome; raises MissingError."""
    if await run_in_threadpool(studies.alert, connections.tables, person.site, study, alert_id) is None:
        raise MissingError("alert")
    publish = partial(
        storage.publish_acknowledgement,
        connections,
        site=person.site,
        study=study,
        alert_id=alert_id,
        version_seen=version_seen,
        actor=person.user,
        actor_role=person.role,
    )
    command_id = await run_in_threadpool(publish)
    outcome = await _outcome(
        connections, partial(storage.alert_outcome, connections, person.site, command_id)
    )
    return answer(command_id, outcome, None)


def answer(command_id: str, outcome: Outcome | None, review: ReviewView | None) -> Answer:
    """Turn an outcome, or none so far, into the answer to the person."""
    if outcome is None or outcome.outcome not in STATUS_CODES:
        detail = "Taken; the outcome will show here in a moment."
        return Answer(state=ACCEPTED, detail=detail, command_id=command_id, version=None, review=review)
    return Answer(
        state=outcome.outcome,
        detail=outcome.detail or "",
        command_id=command_id,
        version=outcome.version,
        review=review,
    )


async def _outcome(connections: Connections, read: Callable[[], Outcome | None]) -> Outcome | None:
    until = connections.clock.monotonic() + WAIT_S
    while True:
        outcome = await run_in_threadpool(read)
        if outcome is not None or connections.clock.monotonic() >= until:
            return outcome
        await asyncio.sleep(POLL_S)


def as_json(answer: Answer) -> dict[str, Any]:
    """Return an answer as plain values."""
    return asdict(answer)
