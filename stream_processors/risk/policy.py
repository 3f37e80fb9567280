"""Findings to risk: the strongest rule decides, the order is the floor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from schemas.events import Finding
from stream_processors.risk.rules import (
    CLASS_WEIGHT,
    DEMOTED,
    GROWTH,
    NO_FINDING_RULE,
    NO_RULE,
    NOT_ANALYSED_RULE,
    ORDERED_RULE,
    ORDERED_WEIGHT,
    RULES,
    SIGNED_RULE,
    UNDETERMINED_RULE,
    Bound,
    FindingRule,
)

WEIGHT_DIGITS = 4
"""Decimals of a published weight, so that equal inputs give equal bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Risk:
    """Where a study stands and why."""

    urgency: str
    weight: float
    rule: str
    reason: str
    finding: str = ""
    probability: float = 0.0
    alert_class: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A finding that a reader accepted and signed within `SIGNED_WITHIN_S`.

    Parameters
    ----------
    finding
        Its label.
    instance
        Image on which it was shown.
    area
        Its box there in square pixels, None where it had none.
    """

    finding: str
    instance: str
    area: float | None


def assess(
    status: str,
    reason: str,
    findings: Sequence[Finding],
    ordered_priority: str,
    signed: Sequence[Signed] = (),
) -> Risk:
    """Score one result.

    Parameters
    ----------
    status
        `analysed`, `not-analysed` or `undetermined`.
    reason
        Why it is not `analysed`, or what part of it is missing.
    findings
        Calibrated findings; looked at only when `analysed`.
    ordered_priority
        `stat`, `routine` or `unknown`; any other value counts as `unknown`.
    signed
        What readers accepted and signed of earlier revisions not long ago.
    """
    floor = ORDERED_WEIGHT.get(ordered_priority, ORDERED_WEIGHT["unknown"])
    if status == "not-analysed":
        return Risk(
            urgency="not-analysed", weight=floor, rule=NOT_ANALYSED_RULE, reason=f"not analysed: {reason}"
        )
    if status != "analysed":
        return Risk(
            urgency="undetermined",
            weight=floor,
            rule=UNDETERMINED_RULE,
            reason=f"the AI gave no answer: {reason}",
        )
    matched = [(rule, finding) for finding in findings if (rule := rule_for(finding, signed)) is not None]
    if not matched:
        found = [each for each in findings if each.probability >= each.threshold and each.certainty != "low"]
        return _as_ordered(floor, ordered_priority, reason, found)
    rule, finding = max(matched, key=_strength)
    weight = max(floor, *(_weight(*pair) for pair in matched))
    return Risk(
        urgency=_raised(rule.urgency, ordered_priority),
        weight=round(weight, WEIGHT_DIGITS),
        rule=rule.name,
        reason="; ".join(filter(None, (rule.reason.format(finding=finding.finding), reason))),
        finding=finding.finding,
        probability=finding.probability,
        alert_class=_alert_class(rule),
    )


def rule_for(finding: Finding, signed: Sequence[Signed] = ()) -> FindingRule | None:
    """Return the first rule that applies to a finding, as it is after signatures of earlier revisions (R9)."""
    for rule in RULES:
        if (
            finding.finding in rule.findings
            and finding.certainty == rule.certainty
            and all(_holds(bound, finding) for bound in rule.where)
        ):
            known = rule.urgency == "critical" and any(_not_larger(finding, each) for each in signed)
            return _known_already(rule) if known else rule
    return None


def _holds(bound: Bound, finding: Finding) -> bool:
    measured = (each.value for each in finding.measurements if each.name == bound.quantity)
    value = next(measured, bound.otherwise)
    return value is not None and bound.at_least <= value < bound.below


def _not_larger(finding: Finding, signed: Signed) -> bool:
    """Whether a signed finding is this one, and this one is not larger; what cannot be compared counts as larger."""
    if (finding.finding, finding.instance) != (signed.finding, signed.instance):
        return False
    if finding.box is None or signed.area is None:
        return False
    return finding.box.width * finding.box.height <= GROWTH * signed.area


def _known_already(rule: FindingRule) -> FindingRule:
    return replace(
        rule,
        name=SIGNED_RULE,
        urgency="high",
        alert_class="",
        reason="{finding} was accepted and signed within a day and is not larger: raised, nobody is paged again",
    )


def _strength(pair: tuple[FindingRule, Finding]) -> tuple[float, bool, float, str]:
    """What decides among findings: the class, then whether somebody is paged, so that a demoted rule hides no other's page."""
    rule, finding = pair
    return CLASS_WEIGHT[rule.urgency], bool(_alert_class(rule)), finding.probability, finding.finding


def _alert_class(rule: FindingRule) -> str:
    return "" if rule.name in DEMOTED else rule.alert_class


def _weight(rule: FindingRule, finding: Finding) -> float:
    return CLASS_WEIGHT[rule.urgency] + finding.probability


def _raised(urgency: str, ordered_priority: str) -> str:
    """An order of STAT makes a routine result high; it never lowers anything."""
    return "high" if urgency == "routine" and ordered_priority == "stat" else urgency


def _as_ordered(floor: float, ordered_priority: str, reason: str, unruled: Sequence[Finding]) -> Risk:
    """Nothing raises the study: no finding reached its threshold, or none that did has a rule."""
    names = ", ".join(sorted({each.finding for each in unruled}))
    found = f"{names}: no rule raises the study" if names else "no finding reached its threshold"
    ordered = {"stat": "ordered STAT", "routine": ""}.get(
        ordered_priority, "ordered priority unknown, so it queues like STAT"
    )
    quiet = NO_RULE if names else NO_FINDING_RULE
    return Risk(
        urgency=_raised("routine", ordered_priority),
        weight=floor,
        rule=quiet if ordered_priority == "routine" else ORDERED_RULE,
        reason="; ".join(filter(None, (found, ordered, reason))),
    )
