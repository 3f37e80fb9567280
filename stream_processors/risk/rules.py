"""The rules as data. A change of any value is a new `RULE_VERSION`, which every score and result names.

Classes follow the ACR categories of actionable findings: critical, a person is told within minutes; high, read within hours;
routine, the ordinary queue. Synthetic models have no clinical standing, whatever the rule. `docs/risk.md` shows them as a table.
"""

from __future__ import annotations

from dataclasses import dataclass

RULE_VERSION = "2026-3"
"""Version of everything in this file."""

CLASS_WEIGHT = {"critical": 40.0, "high": 15.0, "routine": 1.0}
"""Weight of a class. Fractions up to 1 order studies inside a class and never reach the next one."""

ORDERED_WEIGHT = {"stat": 10.0, "unknown": 10.0, "routine": 1.0}
"""Weight of an order. What is unknown may be urgent, so it queues like STAT."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What a measured quantity must be for a rule to apply.

    Parameters
    ----------
    quantity
        Name of the measurement (`schemas.events.Measurement`).
    at_least, below
        Its range: closed below, open above.
    otherwise
        Value where nothing was measured. None: then the rule does not apply, and the stricter one after it does.
    """

    quantity: str
    at_least: float = float("-inf")
    below: float = float("inf")
    otherwise: float | None = None


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
    where
        Ranges that what was measured must all lie in.
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
    where: tuple[Bound, ...] = ()
    urgency: str
    alert_class: str = ""
    reason: str


HEMORRHAGE = frozenset({
    "intracranial-hemorrhage", "epidural", "subdural", "subarachnoid", "intraparenchymal", "intraventricular",
})  # fmt: skip
"""Bleeding in the head, whatever its kind."""
CRITICAL = HEMORRHAGE | {"pneumothorax", "pulmonary-embolism", "free-air"}
"""Findings for which minutes matter."""
FOLLOW_UP = frozenset({"nodule", "mass"})
"""Findings that are followed up in days."""

NO_SHIFT = Bound(quantity="mediastinal_shift", below=1, otherwise=0)
ONE_SIDED = Bound(quantity="bilateral", below=1, otherwise=0)

RULES = (
    FindingRule(
        name="R1",
        findings=HEMORRHAGE,
        certainty="high",
        urgency="critical",
        alert_class="critical",
        reason="high probability of {finding}",
    ),
    FindingRule(
        name="R1",
        findings=HEMORRHAGE,
        certainty="uncertain",
        where=(Bound(quantity="midline_shift", at_least=5),),
        urgency="critical",
        alert_class="critical",
        reason="{finding} is uncertain, but the midline is shifted by 5 mm or more",
    ),
    FindingRule(
        name="R2",
        findings=frozenset({"pneumothorax"}),
        certainty="high",
        where=(Bound(quantity="hemithorax_share", below=0.15), ONE_SIDED, NO_SHIFT),
        urgency="high",
        reason="high probability of {finding}, small and on one side",
    ),
    FindingRule(
        name="R2",
        findings=frozenset({"pneumothorax"}),
        certainty="high",
        where=(Bound(quantity="chest_tube", at_least=1), ONE_SIDED, NO_SHIFT),
        urgency="high",
        reason="high probability of {finding} with a chest tube in place",
    ),
    FindingRule(
        name="R2",
        findings=frozenset({"pneumothorax"}),
        certainty="high",
        urgency="critical",
        alert_class="critical",
        reason="high probability of {finding}, not known to be small or drained",
    ),
    FindingRule(
        name="R3",
        findings=frozenset({"pulmonary-embolism"}),
        certainty="high",
        where=(Bound(quantity="segmental", at_least=1), Bound(quantity="rv_lv_ratio", below=1)),
        urgency="high",
        reason="high probability of {finding}, segmental and without strain on the right heart",
    ),
    FindingRule(
        name="R3",
        findings=frozenset({"pulmonary-embolism"}),
        certainty="high",
        urgency="critical",
        alert_class="critical",
        reason="high probability of {finding}, not known to be segmental only",
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
        findings=FOLLOW_UP,
        certainty="high",
        where=(Bound(quantity="diameter", below=8),),
        urgency="routine",
        reason="high probability of {finding} under 8 mm: reported, no follow-up asked for",
    ),
    FindingRule(
        name="R5",
        findings=FOLLOW_UP | {"cardiomegaly"},
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
"""Rules R1 to R6 on single findings, in the order they are tried."""

DEMOTED: frozenset[str] = frozenset()
"""Rules that page nobody any more, by a person's decision after `radstream pages` proposed it: worklist only."""

ORDERED_RULE = "R7"
"""The order decides where it weighs more than the AI: the AI raises and never lowers."""
UNDETERMINED_RULE = "R8"
"""The AI failed."""
SIGNED_RULE = "R9"
"""The finding was accepted and signed not long ago, and is not larger now: critical becomes high, and nobody is paged again."""
SIGNED_WITHIN_S = 24 * 3600
"""Seconds for which a signature counts (R9)."""
SETTLED_S = 60
"""Seconds after which a signature is in every table, and counts."""
GROWTH = 1.1
"""Ratio of areas up to which a region counts as not larger: a tenth is within what two readings of one image differ by."""
NOT_ANALYSED_RULE = "not-analysed"
"""No model reads the study, or it refused every image."""
NO_FINDING_RULE = "no-finding"
"""Nothing reached its threshold."""
NO_RULE = "no-rule"
"""What reached its threshold has no rule: it is told, and raises nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRule:
    """One rule on a study as a whole, as people read it; `policy.assess` is what applies it.

    Parameters
    ----------
    name
        Rule id.
    when, what
        Sentences: what it applies to, and what follows.
    """

    name: str
    when: str
    what: str


STUDY_RULES = (
    StudyRule(
        name=ORDERED_RULE,
        when="the order weighs more than the AI's answer",
        what="the order decides: STAT and unknown orders are never below high weight. The AI raises and never lowers; a property "
        "test holds it over all rules",
    ),
    StudyRule(
        name=UNDETERMINED_RULE,
        when="the model failed or timed out on an image, and nothing was found on the others",
        what="undetermined, at the ordered priority, with the reason",
    ),
    StudyRule(
        name=NOT_ANALYSED_RULE,
        when="no model may read the study, or its input contract refused every image",
        what="not analysed, at the ordered priority, with the reason",
    ),
    StudyRule(
        name=SIGNED_RULE,
        when="a reader accepted the finding on an earlier revision of the study, "
        f"signed it {SETTLED_S / 60:g} minute to {SIGNED_WITHIN_S / 3600:g} hours before, "
        f"and its box on the same image is not larger than {GROWTH:g} times what it was",
        what="critical becomes high, nobody is paged again, the reason is shown. What cannot be compared counts as larger",
    ),
    StudyRule(
        name=NO_RULE,
        when="what reached its threshold has no rule: an imported model's label, or a finding of MR and ultrasound that is not "
        "listed above",
        what="routine at the ordered priority; the reason names the findings and says that no rule raises the study. It is never "
        'called "no finding", and nobody is paged',
    ),
    StudyRule(
        name=NO_FINDING_RULE,
        when="nothing reached its threshold, or what did is `low`",
        what="routine at the ordered priority",
    ),
)
"""Rules on the study, in the order in which the page shows them."""
