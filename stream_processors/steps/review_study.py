"""Readers' commands on a study: claimed, judged finding by finding, signed. The reader must have seen what is current."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, replace

from schemas.events import FindingDecision, ReviewCommand, ReviewState
from schemas.rows import ReviewOutcomeRow, ReviewRow, StudyAssemblyRow
from stream_processors.decisions import Entry, appended, canonical, cause_of, caused_by, decide
from stream_processors.step import Output, Step, StepContext

LABEL = re.compile(r"[a-z][a-z0-9-]{0,63}")
"""Form of a finding's label: free text, which could name a person, has no place in an event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """A review after a change; names and meaning as in `ReviewState`. Version 0 is a study nobody touched."""

    revision: int = 0
    version: int = 0
    status: str = "open"
    claimed_by: str = ""
    decisions: tuple[FindingDecision, ...] = ()
    signed_by: str = ""
    signed_at: int | None = None
    command_id: str = ""


@dataclass(frozen=True, slots=True)
class Applied:
    """The command is carried out."""

    review: Review


@dataclass(frozen=True, slots=True)
class Conflict:
    """The reader saw something that is not current any more."""

    detail: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The command is not allowed, whoever saw what."""

    detail: str


async def run(command: ReviewCommand, context: StepContext) -> AsyncIterator[Output]:
    """Carry out one command; the same command id gives the same outcome and the same event."""
    row = await _decided(command, context)
    entry = caused_by(row.history, cause_of(command)) if row is not None else None
    if entry is None:
        return
    review = _review(entry)
    envelope = context.envelope(command, "ReviewState", str(entry.version), occurred_at=entry.at)
    yield ReviewState(
        envelope=envelope,
        revision=review.revision,
        version=review.version,
        status=review.status,
        claimed_by=review.claimed_by,
        decisions=review.decisions,
        signed_by=review.signed_by,
        signed_at=review.signed_at,
        command_id=review.command_id,
    )


def apply(
    review: Review, command: ReviewCommand, current_revision: int | None, now: int
) -> Applied | Conflict | Refused:
    """Decide on a command.

    Parameters
    ----------
    review
        The review as it is.
    command
        What a reader asks for.
    current_revision
        The study's revision, None where there is no such study.
    now
        UTC microseconds.
    """
    if current_revision is None:
        return Refused("there is no such study")
    review = opened_again(review, current_revision)
    if review.status == "signed" and command.version_seen == review.version:
        return Refused("the study is signed")
    if command.revision_seen != current_revision:
        return Conflict(f"the study has changed: it is at revision {current_revision}")
    if command.version_seen != review.version:
        return Conflict(f"the review has changed: it is at version {review.version}")
    refusal = _not_allowed(review, command)
    if refusal:
        return Refused(refusal)
    after = _changed(review, command, now)
    return Applied(
        replace(after, revision=current_revision, version=review.version + 1, command_id=command.command_id)
    )


def opened_again(review: Review, current_revision: int) -> Review:
    """Open a signed review when a later revision came: what was said of the earlier images stands in its own event."""
    if review.status != "signed" or review.revision >= current_revision:
        return review
    return replace(review, status="open", claimed_by="", decisions=(), signed_by="", signed_at=None)


def _not_allowed(review: Review, command: ReviewCommand) -> str:
    """Why this person may not do this to the review now, or empty."""
    by_holder = review.claimed_by in ("", command.actor)
    if command.action == "release":
        if not review.claimed_by:
            return "nobody has claimed the study"
        # An operator may free a study whose reader went home.
        allowed = command.actor_role == "operator" or (command.actor_role == "radiologist" and by_holder)
        return "" if allowed else "another reader has claimed the study"
    if command.action not in ("claim", "accept", "reject", "sign"):
        return "there is no such action"
    if command.actor_role != "radiologist":
        return "only a radiologist may do this"
    if not by_holder:
        return "another reader has claimed the study"
    if command.action in ("accept", "reject") and not LABEL.fullmatch(command.finding):
        return "this is not the label of a finding"
    return ""


def _changed(review: Review, command: ReviewCommand, now: int) -> Review:
    if command.action == "claim":
        return replace(review, claimed_by=command.actor)
    if command.action == "release":
        return replace(review, claimed_by="")
    if command.action == "sign":
        return replace(review, status="signed", signed_by=command.actor, signed_at=now, claimed_by="")
    said = "accepted" if command.action == "accept" else "rejected"
    latest = {each.finding: each for each in review.decisions}
    latest[command.finding] = FindingDecision(
        finding=command.finding, decision=said, actor=command.actor, at=now
    )
    return replace(review, decisions=tuple(latest[finding] for finding in sorted(latest)))


async def _decided(command: ReviewCommand, context: StepContext) -> ReviewRow | None:
    """Decide once, record the outcome for the person who asked, and return the review's row."""
    tables, now = context.tables, context.clock.now()
    key = {"site": command.envelope.site, "study": command.envelope.study}
    outcome_key = {"site": command.envelope.site, "command_id": command.command_id}
    if await context.io(lambda: tables.get(ReviewOutcomeRow, **outcome_key)) is not None:
        return await context.io(lambda: tables.get(ReviewRow, **key))
    study = await context.io(lambda: tables.get(StudyAssemblyRow, **key))
    current = study.revision if study is not None else None
    verdicts: list[Applied | Conflict | Refused] = []

    def choose(row: ReviewRow | None) -> ReviewRow | None:
        if row is not None and caused_by(row.history, cause_of(command)) is not None:
            return None
        verdict = apply(_review_of(row), command, current, now)
        verdicts.append(verdict)
        return _row(row, command, verdict.review, now) if isinstance(verdict, Applied) else None

    row = await decide(context, ReviewRow, key, choose)
    entry = caused_by(row.history, cause_of(command)) if row is not None else None
    outcome, detail = ("done", "done") if entry is not None else _said(verdicts[-1])
    version = entry.version if entry is not None else _review_of(row).version
    written = ReviewOutcomeRow(
        **outcome_key, study=command.envelope.study, outcome=outcome, detail=detail, version=version, at=now
    )
    await context.io(tables.write, written, at=now)
    return row


def _said(verdict: Applied | Conflict | Refused) -> tuple[str, str]:
    if isinstance(verdict, Conflict):
        return "conflict", verdict.detail
    return ("refused", verdict.detail) if isinstance(verdict, Refused) else ("done", "done")


def _review_of(row: ReviewRow | None) -> Review:
    if row is None:
        return Review()
    return Review(
        revision=row.revision or 0,
        version=row.version or 0,
        status=row.status or "open",
        claimed_by=row.claimed_by or "",
        decisions=tuple(FindingDecision(**each) for each in json.loads(row.decisions or "[]")),
        signed_by=row.signed_by or "",
        signed_at=row.signed_at,
        command_id=row.command_id or "",
    )


def _review(entry: Entry) -> Review:
    decisions = tuple(FindingDecision(**each) for each in entry.state["decisions"])
    return Review(**{**entry.state, "decisions": decisions})


def _row(row: ReviewRow | None, command: ReviewCommand, review: Review, now: int) -> ReviewRow:
    state = asdict(review)
    history = appended(
        row.history if row is not None else None, Entry(review.version, cause_of(command), now, state)
    )
    return ReviewRow(
        site=command.envelope.site,
        study=command.envelope.study,
        **{**state, "decisions": canonical(state["decisions"]), "history": history},
    )


STEP = Step(
    summary="Validate readers' commands against what is current and publish the review's new state.",
    reads=("review.commands.v1",),
    emits=("reviews.v1",),
    run=run,
)
