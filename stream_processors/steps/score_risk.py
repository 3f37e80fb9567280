"""Place a result in the reading order and say why."""

from __future__ import annotations

from collections.abc import AsyncIterator

from schemas.events import Findings, RiskScored
from stream_processors.risk.policy import assess
from stream_processors.risk.rules import RULE_VERSION
from stream_processors.step import Output, Step, StepContext


async def run(result: Findings, context: StepContext) -> AsyncIterator[Output]:
    """Score one result; the same result and rule version give the same event."""
    risk = assess(result.status, result.reason, result.findings, result.ordered_priority)
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


STEP = Step(
    summary="Score each result: urgency, weight in the worklist, and whether a person must be told now.",
    reads=("findings.v1",),
    emits=("risk.scored.v1",),
    run=run,
)
