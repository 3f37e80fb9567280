"""Place a result in the reading order and say why."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

from runtime.clock import MICROSECONDS
from runtime.ports import Tables
from schemas.events import Findings, RiskScored
from schemas.rows import FindingRow, ReviewRow
from stream_processors.decisions import Entry, entries
from stream_processors.risk.policy import Signed, assess
from stream_processors.risk.rules import RULE_VERSION, SETTLED_S, SIGNED_WITHIN_S
from stream_processors.step import Output, Step, StepContext


async def run(result: Findings, context: StepContext) -> AsyncIterator[Output]:
    """Score one result; the same result and rule version give the same event."""
    signed = await context.io(signed_before, context.tables, result) if result.findings else ()
    risk = assess(result.status, result.reason, result.findings, result.ordered_priority, signed)
    yield RiskScored(
        envelope=context.envelope(result, "RiskScored", result.result_id, RULE_VERSION),
        revision=result.revision,
        received_at=result.received_at,
        ordered_priority=result.ordered_priority,
        result_id=result.result_id,
        urgency=risk.urgency,
        weight=risk.weight,
        finding=risk.finding,
        probability=risk.probability,
        rule=risk.rule,
        rule_version=RULE_VERSION,
        reason=risk.reason,
        alert_class=risk.alert_class,
        modality=result.modality,
        body_part=result.body_part,
        demonstration=result.demonstration,
        synthetic=result.synthetic,
    )


def signed_before(tables: Tables, result: Findings) -> tuple[Signed, ...]:
    """What readers accepted of earlier revisions and signed within `SIGNED_WITHIN_S` of this result (R9).

    The result's own time decides, and a signature of the last minute does not count: one that is being written at the same moment
    would be seen by one delivery of the result and missed by another.
    """
    site, study = result.envelope.site, result.envelope.study
    review = tables.get(ReviewRow, site=site, study=study)
    accepted = {
        (entry.state["revision"], decision["finding"])
        for entry in entries(review.history if review is not None else None)
        if _counts(entry, result)
        for decision in entry.state["decisions"]
        if decision["decision"] == "accepted"
    }
    rows = (
        tables.get(FindingRow, site=site, study=study, revision=revision, finding=finding)
        for revision, finding in sorted(accepted)
    )
    return tuple(_signed(row) for row in rows if row is not None)


def _counts(entry: Entry, result: Findings) -> bool:
    """Whether a state of the review is a signature of an earlier revision, neither too old nor too young."""
    age = result.envelope.occurred_at - entry.at
    is_signature = entry.state["status"] == "signed" and entry.state["revision"] < result.revision
    return is_signature and SETTLED_S * MICROSECONDS <= age <= SIGNED_WITHIN_S * MICROSECONDS


def _signed(row: FindingRow) -> Signed:
    box = json.loads(row.box or "null")
    return Signed(
        finding=row.finding, instance=row.instance or "", area=None if box is None else float(box[2] * box[3])
    )


STEP = Step(
    summary="Score each result: urgency, weight in the worklist, and whether a person must be told now.",
    reads=("findings.v1",),
    emits=("risk.scored.v1",),
    run=run,
)
