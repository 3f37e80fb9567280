"""The rules as data. A change of any value is a new `RULE_VERSION`, which every score and result names.

Classes follow the ACR categories of actionable findings: critical, a person is told within minutes; high, read within hours;
routine, the ordinary queue. Synthetic models have no clinical standing, whatever the rule.
"""

from __future__ import annotations

from dataclasses import dataclass

RULE_VERSION = "2026-1"
"""Version of everything in this file."""

CLASS_WEIGHT = {"critical": 40.0, "high": 15.0, "routine": 1.0}
"""Weight of a class. Fractions up to 1 order studies inside a class and never reach the next one."""

ORDERED_WEIGHT = {"stat": 10.0, "unknown": 10.0, "routine": 1.0}
"""Weight of an order. What is unknown may be urgent, so it queues like STAT."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingRule:
    """One rule on one finding.

    Parameters
    ----------
    name
        Rule id; the first rule of a list that applies to a finding counts.
    findings
        Labels it speaks of.
    certainty
        Certainty class the finding must have.
    urgency
        Class it gives.
    alert_class
        Class of alert, or empty for the worklist only.
    reason
        Sentence for the reader; `{finding}` is the label.
    """

    name: str
    findings: frozenset[str]
    certainty: str
    urgency: str
    alert_class: str = ""
    reason: str


CRITICAL = frozenset({"pneumothorax", "intracranial-hemorrhage", "pulmonary-embolism", "free-air"})
"""Findings for which minutes matter."""

RULES = (
    FindingRule(
        name="R1",
        findings=frozenset({"intracranial-hemorrhage"}),
        certainty="high",
        urgency="critical",
        alert_class="critical",
        reason="high probability of {finding}",
    ),
    FindingRule(
        name="R2",
        findings=frozenset({"pneumothorax"}),
        certainty="high",
        urgency="critical",
        alert_class="critical",
        reason="high probability of {finding}; its size was not measured",
    ),
    FindingRule(
        name="R3",
        findings=frozenset({"pulmonary-embolism"}),
        certainty="high",
        urgency="critical",
        alert_class="critical",
        reason="high probability of {finding}; its extent was not measured",
    ),
    FindingRule(
        name="R4",
        findings=frozenset({"free-air"}),
        certainty="high",
        urgency="critical",
        alert_class="critical",
        reason="high probability of {finding}",
    ),
    FindingRule(
        name="R4",
        findings=frozenset({"effusion", "consolidation", "edema"}),
        certainty="high",
        urgency="high",
        reason="high probability of {finding}",
    ),
    FindingRule(
        name="R5",
        findings=frozenset({"nodule", "mass", "cardiomegaly"}),
        certainty="high",
        urgency="routine",
        reason="high probability of {finding}: for follow-up, not for an alert",
    ),
    FindingRule(
        name="R6",
        findings=CRITICAL,
        certainty="uncertain",
        urgency="high",
        reason="{finding} is possible but uncertain: raised in the worklist, nobody is paged",
    ),
)
"""Rules R1 to R6. R9 (the same finding signed off within a day) needs prior results and is not here yet."""

ORDERED_RULE = "R7"
"""The order decides where it weighs more than the AI: the AI raises and never lowers."""
UNDETERMINED_RULE = "R8"
"""The AI failed or refused the input."""
NOT_ANALYSED_RULE = "not-analysed"
"""No model reads the study."""
NO_FINDING_RULE = "no-finding"
"""Nothing reached its threshold."""
