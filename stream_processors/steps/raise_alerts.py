"""The alert's life: raised once per (study, finding, class), updated by later revisions, acknowledged by a person.

Only `raised` pages; whatever is delivered or revised afterwards is the same alert with a higher version.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from schemas.events import AlertCommand, AlertState, RiskScored
from schemas.identifiers import deterministic_uuid
from schemas.rows import AlertOutcomeRow, AlertRow
from stream_processors.decisions import Entry, appended, cause_of, caused_by, decide
from stream_processors.step import Output, Step, StepContext

MAY_ACKNOWLEDGE = frozenset({"radiologist", "operator"})
"""Roles of people who can act on an alert."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """An alert after a change; names and meaning as in `AlertState`."""

    revision: int
    alert_id: str
    state: str
    alert_class: str
    finding: str
    probability: float
    rule: str
    reason: str
    raised_at: int
    acknowledged_at: int | None = None
    acknowledged_by: str = ""
    command_id: str = ""
    received_at: int
    demonstration: bool
    synthetic: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a command: `done`, `conflict` or `refused`, and a sentence for the person."""

    outcome: str
    detail: str


async def run(cause: RiskScored | AlertCommand, context: StepContext) -> AsyncIterator[Output]:
    """Raise or update an alert, or carry out a command on one."""
    if isinstance(cause, AlertCommand):
        row = await _command(cause, context)
    else:
        row = await _score(cause, context)
    entry = caused_by(row.history, cause_of(cause)) if row is not None else None
    if entry is not None:
        alert = Alert(**entry.state)
        envelope = context.envelope(
            cause, "AlertState", alert.alert_id, str(entry.version), occurred_at=entry.at
        )
        yield AlertState(envelope=envelope, version=entry.version, **asdict(alert))


def alert_id(study: str, finding: str, alert_class: str) -> str:
    """Name an alert: a later revision of the study finds the same one."""
    return deterministic_uuid("alert", study, finding, alert_class)


def scored(row: AlertRow | None, risk: RiskScored, now: int) -> AlertRow | None:
    """Raise the alert, or update it where a later revision says something else; None for no change."""
    if row is None:
        alert = Alert(
            alert_id=alert_id(risk.envelope.study, risk.finding, risk.alert_class),
            state="raised",
            raised_at=now,
            **_measured(risk),
        )
        empty = AlertRow(site=risk.envelope.site, study=risk.envelope.study, alert_id=alert.alert_id)
        return _row(empty, alert, Entry(1, cause_of(risk), now, asdict(alert)))
    before = _alert(row)
    if risk.revision < before.revision or caused_by(row.history, cause_of(risk)) is not None:
        return None
    after = replace(before, **_measured(risk))
    if replace(after, revision=before.revision) == before:
        return None
    state = "acknowledged" if before.state == "acknowledged" else "updated"
    after = replace(after, state=state, command_id="")
    return _row(row, after, Entry((row.version or 0) + 1, cause_of(risk), now, asdict(after)))


def judged(row: AlertRow | None, command: AlertCommand) -> Verdict:
    """Decide on a command, given the alert as it is."""
    if row is None:
        return Verdict("refused", "there is no such alert")
    if command.actor_role not in MAY_ACKNOWLEDGE:
        return Verdict("refused", "this role may not acknowledge alerts")
    if command.action != "acknowledge":
        return Verdict("refused", "an alert can only be acknowledged")
    if command.version_seen != row.version:
        return Verdict("conflict", f"the alert has changed: it is at version {row.version}")
    if row.state == "acknowledged":
        return Verdict("refused", "the alert is acknowledged already")
    return Verdict("done", "acknowledged")


def acknowledged(row: AlertRow | None, command: AlertCommand, now: int) -> AlertRow | None:
    """Carry out a command that is to be done; None for no change."""
    if row is None or caused_by(row.history, cause_of(command)) is not None:
        return None
    if judged(row, command).outcome != "done":
        return None
    after = replace(
        _alert(row),
        state="acknowledged",
        acknowledged_at=now,
        acknowledged_by=command.actor,
        command_id=command.command_id,
    )
    return _row(row, after, Entry((row.version or 0) + 1, cause_of(command), now, asdict(after)))


async def _score(risk: RiskScored, context: StepContext) -> AlertRow | None:
    if not risk.alert_class:
        return None
    now = context.clock.now()
    key = {
        "site": risk.envelope.site,
        "study": risk.envelope.study,
        "alert_id": alert_id(risk.envelope.study, risk.finding, risk.alert_class),
    }
    return await decide(context, AlertRow, key, lambda row: scored(row, risk, now))


async def _command(command: AlertCommand, context: StepContext) -> AlertRow | None:
    site, study, now = command.envelope.site, command.envelope.study, context.clock.now()
    key = {"site": site, "study": study, "alert_id": command.alert_id}
    outcome_key = {"site": site, "command_id": command.command_id}
    told = await context.io(lambda: context.tables.get(AlertOutcomeRow, **outcome_key))
    if told is not None:
        return await context.io(lambda: context.tables.get(AlertRow, **key))
    verdicts: list[Verdict] = []

    def choose(row: AlertRow | None) -> AlertRow | None:
        verdicts.append(judged(row, command))
        return acknowledged(row, command, now)

    row = await decide(context, AlertRow, key, choose)
    entry = caused_by(row.history, cause_of(command)) if row is not None else None
    verdict = Verdict("done", "acknowledged") if entry is not None else verdicts[-1]
    version = entry.version if entry is not None else (row.version or 0 if row is not None else 0)
    written = AlertOutcomeRow(
        **outcome_key, study=study, outcome=verdict.outcome, detail=verdict.detail, version=version, at=now
    )
    await context.io(context.tables.write, written, at=now)
    return row


def _measured(risk: RiskScored) -> dict[str, Any]:
    """What a score says of its alert."""
    return {
        "revision": risk.revision,
        "alert_class": risk.alert_class,
        "finding": risk.finding,
        "probability": risk.probability,
        "rule": risk.rule,
        "reason": risk.reason,
        "received_at": risk.received_at,
        "demonstration": risk.demonstration,
        "synthetic": risk.synthetic,
    }


def _alert(row: AlertRow) -> Alert:
    return Alert(**{name: getattr(row, name) for name in Alert.__dataclass_fields__})


def _row(row: AlertRow, alert: Alert, entry: Entry) -> AlertRow:
    return replace(row, **asdict(alert), version=entry.version, history=appended(row.history, entry))


STEP = Step(
    summary="Raise, update and acknowledge alerts; a revision updates an alert and pages nobody twice.",
    reads=("risk.scored.v1", "alert.commands.v1"),
    emits=("alerts.v1",),
    run=run,
)
