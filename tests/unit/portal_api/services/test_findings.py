from __future__ import annotations

import pytest

from portal_api.services.findings import BoxView, box, finding_views
from portal_api.services.reviews import DecisionView, decisions, review_view
from schemas.rows import FindingRow, ReviewRow


def finding(name, probability, threshold=0.5):
    return FindingRow(
        site="n", study="s", revision=1, finding=name, probability=probability, threshold=threshold
    )


def test_findings_stand_strongest_first_with_the_readers_word():
    said = DecisionView(finding="nodule", decision="rejected", actor="dr.reader", at=1)
    views = finding_views([finding("nodule", 0.2), finding("effusion", 0.9)], [said])
    assert [(view.finding, view.above_threshold, view.decision) for view in views] == [
        ("effusion", True, None),
        ("nodule", False, said),
    ]


@pytest.mark.parametrize(
    ("text", "read"), [("[1, 2, 3, 4]", BoxView(x=1, y=2, width=3, height=4)), ("", None), (None, None)]
)
def test_a_box_is_four_numbers_or_nothing(text, read):
    assert box(text) == read


def test_a_finding_without_a_threshold_is_never_above_it():
    (view,) = finding_views([finding("nodule", 0.99, None)], [])
    assert not view.above_threshold


def test_a_study_nobody_touched_has_an_open_review_of_version_0():
    view = review_view(None, "dr.reader", 1)
    assert (view.version, view.status, view.mine, view.decisions) == (0, "open", False, ())


def test_a_claim_is_mine_or_somebody_elses():
    row = ReviewRow(site="n", study="s", version=1, claimed_by="dr.reader")
    assert review_view(row, "dr.reader", 1).mine
    assert not review_view(row, "dr.second", 1).mine


@pytest.mark.parametrize(("study_revision", "closed"), [(1, True), (2, False)])
def test_a_signature_closes_the_revision_it_was_given_on_and_no_later_one(study_revision, closed):
    row = ReviewRow(site="n", study="s", version=2, revision=1, status="signed", signed_by="r", signed_at=5)
    assert review_view(row, "r", study_revision).closed is closed


def test_decisions_are_read_as_the_step_writes_them():
    (decision,) = decisions('[{"finding":"nodule","decision":"accepted","actor":"dr.reader","at":5}]')
    assert decision == DecisionView(finding="nodule", decision="accepted", actor="dr.reader", at=5)
