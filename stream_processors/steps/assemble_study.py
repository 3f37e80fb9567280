"""Keep the set of instances of each study and decide, once, its revisions and when it is complete.

Only a changed set makes a new revision. A quiet window after the last change completes a revision with that evidence; a later
image makes a linked revision. Every decided state stays in the row's history with the input that caused it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from runtime.clock import MICROSECONDS
from schemas.events import InstanceDeidentified, StudyInstance, StudyState
from schemas.rows import StudyAssemblyRow, StudyInstanceRow
from stream_processors.decisions import Entry, appended, canonical, cause_of, caused_by, decide, entries
from stream_processors.step import Deadline, DeadlineReached, Output, Step, StepContext

QUIET_WINDOW = "quiet-window"
"""Name of the deadline."""
STRICTNESS = {"routine": 0, "unknown": 1, "stat": 2}
"""Ordered priorities; what is unknown is stricter than routine, since it may be urgent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """The study after a change, as the row's history keeps it.

    `grew` says that this change added instances; `due_at` is when the quiet window that it opened ends (UTC microseconds), 0 if
    it opened none.
    """

    revision: int = 0
    status: str = ""
    evidence: str = ""
    ordered_priority: str = "routine"
    received_at: int = 0
    quarantined_count: int = 0
    conflict_count: int = 0
    modalities: tuple[str, ...] = ()
    body_parts: tuple[str, ...] = ()
    grew: bool = False
    due_at: int = 0


async def run(cause: InstanceDeidentified | DeadlineReached, context: StepContext) -> AsyncIterator[Output]:
    """Take instances in, or close a quiet window."""
    window = round(context.settings.quiet_window_s * MICROSECONDS)
    now = context.clock.now()
    if isinstance(cause, DeadlineReached):
        key = {"site": cause.site, "study": cause.study}
        row = await decide(context, StudyAssemblyRow, key, lambda row: settled(row, cause, window, now))
    else:
        key = {"site": cause.envelope.site, "study": cause.envelope.study}
        row = await decide(context, StudyAssemblyRow, key, lambda row: absorbed(row, cause, window, now))
    if row is None:
        return
    added = () if isinstance(cause, DeadlineReached) else await _record_instances(context, cause, row)
    entry = caused_by(row.history, cause_of(cause))
    if entry is not None:
        assembly = _assembly(entry)
        envelope = context.envelope(cause, "StudyState", str(entry.version), occurred_at=entry.at)
        yield StudyState(envelope=envelope, **_described(row, assembly, added))
        if assembly.due_at:
            yield Deadline(**key, name=QUIET_WINDOW, due_at=assembly.due_at)
    elif isinstance(cause, DeadlineReached) and row.status != "complete":
        yield Deadline(**key, name=QUIET_WINDOW, due_at=(row.changed_at or 0) + window)


def absorbed(
    row: StudyAssemblyRow | None, event: InstanceDeidentified, window: int, now: int
) -> StudyAssemblyRow | None:
    """Add an event's instances to a study.

    Parameters
    ----------
    row
        The study so far, None at its first event.
    event
        What arrived.
    window
        Quiet window, microseconds.
    now
        UTC microseconds.

    Returns
    -------
    StudyAssemblyRow | None
        The study with them; None when the event changes nothing or was taken in before.
    """
    cause = cause_of(event)
    if row is not None and caused_by(row.history, cause) is not None:
        return None
    before = _assembly(entries(row.history)[-1]) if row is not None else Assembly()
    known: dict[str, list[Any]] = json.loads(row.instances or "{}") if row is not None else {}
    conflicts = set(json.loads(row.conflicts or "[]")) if row is not None else set()
    quarantined = set(json.loads(row.quarantined or "[]")) if row is not None else set()
    quarantined |= {refused.raw_digest for refused in event.quarantined}
    fresh: dict[str, str] = {}
    for each in event.instances:
        current = (
            known[each.instance][0]
            if each.instance in known
            else fresh.setdefault(each.instance, each.digest)
        )
        if current != each.digest:
            conflicts.add(each.digest)
    after = _grown(before, event, bool(fresh))
    after = replace(after, quarantined_count=len(quarantined), conflict_count=len(conflicts))
    if row is not None and after == replace(before, grew=False, due_at=0):
        return None
    if not before.status or (fresh and before.status == "complete"):
        after = replace(after, due_at=now + window)
    known.update({instance: [digest, after.revision] for instance, digest in fresh.items()})
    closed = after.status == "complete" and row is not None
    changed_at = row.changed_at if closed and row is not None else now
    return _row(
        row or StudyAssemblyRow(site=event.envelope.site, study=event.envelope.study),
        after,
        Entry((row.version or 0) + 1 if row is not None else 1, cause, now, asdict(after)),
        instances=canonical(known),
        quarantined=canonical(sorted(quarantined)),
        conflicts=canonical(sorted(conflicts)),
        changed_at=changed_at,
    )


def settled(
    row: StudyAssemblyRow | None, deadline: DeadlineReached, window: int, now: int
) -> StudyAssemblyRow | None:
    """Complete a study whose quiet window passed without a change.

    The window is measured at the time the deadline was set for, not at the time it is looked at, so that a late or repeated
    look decides the same. Returns None when there is nothing to decide (yet).
    """
    if row is None or row.status == "complete" or caused_by(row.history, cause_of(deadline)) is not None:
        return None
    if (row.changed_at or 0) + window > deadline.due_at:
        return None
    evidence = f"{QUIET_WINDOW} {window / MICROSECONDS:g} s"
    after = replace(_assembly(entries(row.history)[-1]), status="complete", evidence=evidence, grew=False)
    after = replace(after, due_at=0)
    return _row(row, after, Entry((row.version or 0) + 1, cause_of(deadline), now, asdict(after)))


def _grown(before: Assembly, event: InstanceDeidentified, changed: bool) -> Assembly:
    """The study's description with an event's instances in it; counts of refused and conflicting ones are the caller's."""
    status = before.status or "provisional"
    if changed and status == "complete":
        status = "revised"
    parts = {each.body_part for each in event.instances if each.body_part != "unknown"}
    return Assembly(
        revision=before.revision + 1 if changed or not before.status else before.revision,
        status=status,
        evidence=before.evidence if status == "complete" else "",
        ordered_priority=max(
            before.ordered_priority, event.ordered_priority, key=lambda one: STRICTNESS.get(one, 1)
        ),
        received_at=min(filter(None, (before.received_at, _received_at(event)))),
        modalities=tuple(sorted({*before.modalities, *(each.modality for each in event.instances)} - {""})),
        body_parts=tuple(sorted({*before.body_parts, *parts})),
        grew=changed,
    )


def _received_at(event: InstanceDeidentified) -> int:
    """First receipt of an event's instances; a refused instance has no time of its own, the gateway's hop has."""
    hops = (hop.at for hop in event.envelope.hops)
    times = (*(each.received_at for each in event.instances), *hops, event.envelope.occurred_at)
    return min(times)


def _assembly(entry: Entry) -> Assembly:
    lists = {name: tuple(entry.state[name]) for name in ("modalities", "body_parts")}
    return Assembly(**{**entry.state, **lists})


def _row(row: StudyAssemblyRow, after: Assembly, entry: Entry, **changes: Any) -> StudyAssemblyRow:
    return replace(
        row,
        version=entry.version,
        revision=after.revision,
        status=after.status,
        evidence=after.evidence,
        ordered_priority=after.ordered_priority,
        received_at=after.received_at,
        history=appended(row.history, entry),
        **changes,
    )


def _described(
    row: StudyAssemblyRow, assembly: Assembly, of_event: tuple[StudyInstance, ...]
) -> dict[str, Any]:
    """Every field of the event but its envelope, from what was recorded for that revision."""
    recorded: dict[str, list[Any]] = json.loads(row.instances or "{}")
    digests = sorted(digest for digest, revision in recorded.values() if revision <= assembly.revision)
    opened = {each.instance: each for each in of_event if recorded[each.instance][1] == assembly.revision}
    added = tuple(opened.values()) if assembly.grew else ()
    return {
        "revision": assembly.revision,
        "status": assembly.status,
        "evidence": assembly.evidence,
        "received_at": assembly.received_at,
        "ordered_priority": assembly.ordered_priority,
        "instance_count": len(digests),
        "instances_digest": hashlib.sha256("".join(digests).encode("ascii")).hexdigest(),
        "quarantined_count": assembly.quarantined_count,
        "conflict_count": assembly.conflict_count,
        "modalities": assembly.modalities,
        "body_part": assembly.body_parts[0] if len(assembly.body_parts) == 1 else "unknown",
        "added": added,
    }


async def _record_instances(
    context: StepContext, event: InstanceDeidentified, row: StudyAssemblyRow
) -> tuple[StudyInstance, ...]:
    """Write the rows of an event's instances whose bytes are the current version, and return those instances."""
    recorded: dict[str, list[Any]] = json.loads(row.instances or "{}")
    current = tuple(each for each in event.instances if recorded[each.instance][0] == each.digest)

    def write() -> None:
        for each in current:
            written = StudyInstanceRow(site=row.site, study=row.study, **asdict(each))
            context.tables.write(written, at=event.envelope.occurred_at)

    await context.io(write)
    return current


STEP = Step(
    summary="Keep each study's set of instances, number its revisions and decide when one is complete.",
    reads=("instance.deidentified.v1", "instance.cleaned.v1"),
    emits=("study.state.v1",),
    run=run,
    sets_deadlines=True,
)
