"""Findings to risk: the table of rules, and that the AI raises and never lowers."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import Box, Finding, Measurement
from stream_processors.risk import policy
from stream_processors.risk.policy import Signed, assess
from stream_processors.risk.rules import CLASS_WEIGHT, ORDERED_WEIGHT, RULE_VERSION, RULES, STUDY_RULES
from stream_processors.risk.table import study_table, table
from tests.support.events import finding
from tests.support.repository import ROOT


@pytest.mark.parametrize(
    ("found", "ordered", "urgency", "rule", "alert"),
    [
        (("pneumothorax", "high"), "routine", "critical", "R2", "critical"),
        (("pneumothorax", "uncertain"), "routine", "high", "R6", ""),
        (("intracranial-hemorrhage", "high"), "routine", "critical", "R1", "critical"),
        (("pulmonary-embolism", "high"), "routine", "critical", "R3", "critical"),
        (("effusion", "high"), "routine", "high", "R4", ""),
        (("effusion", "uncertain"), "routine", "routine", "no-rule", ""),
        (("lesion", "high"), "routine", "routine", "no-rule", ""),
        (("lesion", "high"), "unknown", "routine", "R7", ""),
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


def test_a_finding_without_a_rule_is_named_and_not_called_absent() -> None:
    assert assess("analysed", "", [finding("lesion")], "routine").reason == "lesion: no rule raises the study"
    below = finding("lesion", probability=0.1)
    assert assess("analysed", "", [below], "routine").reason == "no finding reached its threshold"


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


@pytest.mark.parametrize(
    ("name", "certainty", "measured", "urgency", "rule", "alert"),
    [
        ("subdural", "high", {}, "critical", "R1", "critical"),
        ("intracranial-hemorrhage", "uncertain", {"midline_shift": 5}, "critical", "R1", "critical"),
        ("intracranial-hemorrhage", "uncertain", {"midline_shift": 4.9}, "high", "R6", ""),
        ("intracranial-hemorrhage", "uncertain", {}, "high", "R6", ""),
        ("pneumothorax", "high", {"hemithorax_share": 0.149}, "high", "R2", ""),
        ("pneumothorax", "high", {"hemithorax_share": 0.15}, "critical", "R2", "critical"),
        ("pneumothorax", "high", {"hemithorax_share": 0.1, "bilateral": 1}, "critical", "R2", "critical"),
        (
            "pneumothorax",
            "high",
            {"hemithorax_share": 0.1, "mediastinal_shift": 1},
            "critical",
            "R2",
            "critical",
        ),
        ("pneumothorax", "high", {"hemithorax_share": 0.4, "chest_tube": 1}, "high", "R2", ""),
        ("pneumothorax", "high", {"chest_tube": 1, "mediastinal_shift": 1}, "critical", "R2", "critical"),
        ("pulmonary-embolism", "high", {"segmental": 1, "rv_lv_ratio": 0.9}, "high", "R3", ""),
        ("pulmonary-embolism", "high", {"segmental": 1, "rv_lv_ratio": 1.0}, "critical", "R3", "critical"),
        ("pulmonary-embolism", "high", {"segmental": 1}, "critical", "R3", "critical"),
        ("free-air", "high", {}, "critical", "R4", "critical"),
        ("nodule", "high", {"diameter": 7.9}, "routine", "R5", ""),
        ("mass", "high", {"diameter": 8}, "routine", "R5", ""),
        ("free-air", "uncertain", {}, "high", "R6", ""),
    ],
)
def test_what_was_measured_decides_and_what_was_not_leaves_the_stricter_rule(
    name: str, certainty: str, measured: dict[str, float], urgency: str, rule: str, alert: str
) -> None:
    sized = tuple(Measurement(name=key, value=value, unit="1") for key, value in measured.items())
    risk = assess("analysed", "", [replace(finding(name, certainty), measurements=sized)], "routine")
    assert (risk.urgency, risk.rule, risk.alert_class) == (urgency, rule, alert)


def test_a_follow_up_is_said_of_a_nodule_from_eight_millimetres_only() -> None:
    reasons = [
        assess("analysed", "", [replace(finding("nodule"), measurements=sized)], "routine").reason
        for sized in ((Measurement(name="diameter", value=7, unit="mm"),), ())
    ]
    assert ["no follow-up" in reason for reason in reasons] == [True, False]


BOXED = replace(finding("pneumothorax"), box=Box(x=0, y=0, width=10, height=10))


@pytest.mark.parametrize(
    ("signed", "urgency"),
    [
        pytest.param(Signed(finding="pneumothorax", instance="in-a", area=100), "high", id="as large"),
        pytest.param(Signed(finding="pneumothorax", instance="in-a", area=91), "high", id="within a tenth"),
        pytest.param(Signed(finding="pneumothorax", instance="in-a", area=90), "critical", id="smaller then"),
        pytest.param(
            Signed(finding="pneumothorax", instance="in-b", area=100), "critical", id="another image"
        ),
        pytest.param(Signed(finding="free-air", instance="in-a", area=100), "critical", id="another finding"),
        pytest.param(
            Signed(finding="pneumothorax", instance="in-a", area=None), "critical", id="no place then"
        ),
    ],
)
def test_what_was_signed_and_is_not_larger_pages_nobody_again(signed: Signed, urgency: str) -> None:
    risk = assess("analysed", "", [BOXED], "routine", [signed])
    assert risk.urgency == urgency
    assert (risk.rule, risk.alert_class) == (("R9", "") if urgency == "high" else ("R2", "critical"))
    assert ("signed within a day" in risk.reason) == (urgency == "high")


def test_a_signed_finding_without_a_place_now_is_not_held_back() -> None:
    known = Signed(finding="pneumothorax", instance="in-a", area=100)
    assert assess("analysed", "", [finding("pneumothorax")], "routine", [known]).alert_class == "critical"


def test_a_signed_finding_holds_back_no_other() -> None:
    known = Signed(finding="pneumothorax", instance="in-a", area=100)
    risk = assess("analysed", "", [BOXED, finding("free-air", probability=0.81)], "routine", [known])
    assert (risk.finding, risk.alert_class) == ("free-air", "critical")


def test_a_rule_that_people_demoted_raises_in_the_worklist_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "DEMOTED", frozenset({"R2"}))
    risk = assess("analysed", "", [finding("pneumothorax")], "routine")
    assert (risk.urgency, risk.alert_class) == ("critical", "")


def test_a_demoted_rule_hides_no_page_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "DEMOTED", frozenset({"R1"}))
    found = [
        replace(finding("intracranial-hemorrhage"), probability=0.99),
        replace(finding("pneumothorax"), probability=0.91),
    ]
    risk = assess("analysed", "", found, "routine")
    assert (risk.finding, risk.rule, risk.alert_class) == ("pneumothorax", "R2", "critical")
    assert risk.weight == assess("analysed", "", found[:1], "routine").weight


def test_the_page_shows_the_rules_as_they_are() -> None:
    page = (ROOT / "docs" / "risk.md").read_text("utf-8")
    assert table() in page
    assert study_table() in page
    assert f"Rules version {RULE_VERSION}, " in page
    classes, orders = (
        ", ".join(f"{weight:g}" for weight in weights.values()) for weights in (CLASS_WEIGHT, ORDERED_WEIGHT)
    )
    assert f"({classes}) plus the probability, at least its order's ({orders})" in page


labels = sorted({label for rule in RULES for label in rule.findings} | {"something-else"})
some_finding = st.builds(
    finding,
    st.sampled_from(labels),
    st.sampled_from(["high", "uncertain", "low"]),
    st.floats(0, 1).map(lambda p: round(p, 4)),
)
quantities = sorted({bound.quantity for rule in RULES for bound in rule.where})
some_sizes = st.dictionaries(st.sampled_from(quantities), st.floats(0, 50), max_size=4)
some_finding = st.builds(
    lambda found, sizes: replace(
        found,
        box=Box(x=0, y=0, width=10, height=10),
        measurements=tuple(Measurement(name=k, value=v, unit="1") for k, v in sizes.items()),
    ),
    some_finding,
    some_sizes,
)
some_signed = st.lists(
    st.builds(Signed, finding=st.sampled_from(labels), instance=st.just("in-a"), area=st.floats(1, 500)),
    max_size=3,
)


@given(
    st.sampled_from(["analysed", "not-analysed", "undetermined", "other"]),
    st.lists(some_finding, max_size=6),
    st.sampled_from(["stat", "unknown", "routine"]),
    some_signed,
)
def test_the_ai_raises_a_priority_and_never_lowers_one(
    status: str, found: list[Finding], ordered: str, signed: list[Signed]
) -> None:
    risk = assess(status, "", found, ordered, signed)
    assert risk.weight >= ORDERED_WEIGHT[ordered]
    assert not (ordered == "stat" and risk.urgency == "routine")
    if status != "analysed":
        assert risk.urgency in {"undetermined", "not-analysed"}
    shown = {rule.name for rule in RULES} | {rule.name for rule in STUDY_RULES}
    assert risk.rule in shown


@given(st.lists(some_finding, max_size=6), some_finding, st.sampled_from(["stat", "unknown", "routine"]))
def test_one_more_finding_never_lowers_a_priority(found: list[Finding], more: Finding, ordered: str) -> None:
    assert (
        assess("analysed", "", [*found, more], ordered).weight
        >= assess("analysed", "", found, ordered).weight
    )


def test_classes_lie_further_apart_than_a_probability_can_lift() -> None:
    weights = sorted(CLASS_WEIGHT.values())
    assert all(above - below > 1 for below, above in pairwise(weights))
