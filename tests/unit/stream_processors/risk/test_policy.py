"""Findings to risk: the table of rules, and that the AI raises and never lowers."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import Finding
from stream_processors.risk.policy import assess
from stream_processors.risk.rules import CLASS_WEIGHT, ORDERED_WEIGHT, RULES
from tests.support.events import finding


@pytest.mark.parametrize(
    ("found", "ordered", "urgency", "rule", "alert"),
    [
        (("pneumothorax", "high"), "routine", "critical", "R2", "critical"),
        (("pneumothorax", "uncertain"), "routine", "high", "R6", ""),
        (("intracranial-hemorrhage", "high"), "routine", "critical", "R1", "critical"),
        (("pulmonary-embolism", "high"), "routine", "critical", "R3", "critical"),
        (("effusion", "high"), "routine", "high", "R4", ""),
        (("effusion", "uncertain"), "routine", "routine", "no-finding", ""),
        (("nodule", "high"), "routine", "routine", "R5", ""),
        (("nodule", "high"), "stat", "high", "R5", ""),
        (("pneumothorax", "low"), "routine", "routine", "no-finding", ""),
        (("pneumothorax", "low"), "stat", "high", "R7", ""),
        (("pneumothorax", "low"), "unknown", "routine", "R7", ""),
    ],
)
def test_each_rule_gives_its_class(
    found: tuple[str, str], ordered: str, urgency: str, rule: str, alert: str
) -> None:
    risk = assess("analysed", "", [finding(*found)], ordered)
    assert (risk.urgency, risk.rule, risk.alert_class) == (urgency, rule, alert)


def test_the_strongest_finding_decides() -> None:
    risk = assess("analysed", "", [finding("effusion", probability=0.99), finding("pneumothorax")], "routine")
    assert (risk.finding, risk.urgency) == ("pneumothorax", "critical")


@pytest.mark.parametrize(
    ("status", "urgency"), [("undetermined", "undetermined"), ("not-analysed", "not-analysed")]
)
@pytest.mark.parametrize("ordered", ["stat", "unknown", "routine"])
def test_no_answer_is_a_class_of_its_own_at_the_ordered_priority(
    status: str, urgency: str, ordered: str
) -> None:
    risk = assess(status, "why", [finding("pneumothorax")], ordered)
    assert (risk.urgency, risk.weight, risk.alert_class, risk.finding) == (
        urgency,
        ORDERED_WEIGHT[ordered],
        "",
        "",
    )
    assert "why" in risk.reason


def test_a_partial_result_says_so_beside_its_finding() -> None:
    risk = assess("analysed", "partially analysed", [finding("pneumothorax")], "routine")
    assert risk.reason.endswith("; partially analysed")


def test_an_order_in_unknown_words_is_treated_by_the_stricter_rule() -> None:
    assert assess("analysed", "", [], "whenever").weight == ORDERED_WEIGHT["unknown"]


labels = sorted({label for rule in RULES for label in rule.findings} | {"something-else"})
some_finding = st.builds(
    finding,
    st.sampled_from(labels),
    st.sampled_from(["high", "uncertain", "low"]),
    st.floats(0, 1).map(lambda p: round(p, 4)),
)


@given(
    st.sampled_from(["analysed", "not-analysed", "undetermined", "other"]),
    st.lists(some_finding, max_size=6),
    st.sampled_from(["stat", "unknown", "routine"]),
)
def test_the_ai_raises_a_priority_and_never_lowers_one(
    status: str, found: list[Finding], ordered: str
) -> None:
    risk = assess(status, "", found, ordered)
    assert risk.weight >= ORDERED_WEIGHT[ordered]
    assert not (ordered == "stat" and risk.urgency == "routine")


@given(st.lists(some_finding, max_size=6), some_finding, st.sampled_from(["stat", "unknown", "routine"]))
def test_one_more_finding_never_lowers_a_priority(found: list[Finding], more: Finding, ordered: str) -> None:
    assert (
        assess("analysed", "", [*found, more], ordered).weight
        >= assess("analysed", "", found, ordered).weight
    )


def test_classes_lie_further_apart_than_a_probability_can_lift() -> None:
    weights = sorted(CLASS_WEIGHT.values())
    assert all(above - below > 1 for below, above in pairwise(weights))
