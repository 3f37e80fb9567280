"""Readers' commands: who may do what, having seen what."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.events import ReviewState
from schemas.rows import ReviewOutcomeRow, StudyAssemblyRow
from stream_processors.steps.review_study import STEP, Applied, Conflict, Refused, Review, apply
from tests.support.context import Crash, World, events, timeless
from tests.support.events import SITE, STUDY, review_command

NOW = 1_795_226_400_000_000
CLAIMED = Review(revision=1, version=3, claimed_by="reader-1")
SIGNED = Review(revision=1, version=4, status="signed", signed_by="reader-1", signed_at=NOW)


@pytest.fixture
def study(world: World) -> World:
    world.tables.insert_if_absent(StudyAssemblyRow(site=SITE, study=STUDY, version=1, revision=1))
    return world


def reviews(world: World, command: object) -> list[ReviewState]:
    found = events(world.run("review_study", STEP, command))  # type: ignore[arg-type]
    assert all(isinstance(each, ReviewState) for each in found)
    return found  # type: ignore[return-value]


def outcome(world: World, command_id: str) -> tuple[str | None, int | None]:
    row = world.tables.get(ReviewOutcomeRow, site=SITE, command_id=command_id)
    assert row is not None
    return row.outcome, row.version


@pytest.mark.parametrize(
    ("review", "action", "changes", "said"),
    [
        (Review(), "claim", {}, Applied),
        (Review(), "accept", {}, Applied),
        (Review(), "reject", {}, Applied),
        (Review(), "sign", {}, Applied),
        (Review(), "sign", {"actor_role": "operator"}, Refused),
        (Review(), "claim", {"actor_role": "operator"}, Refused),
        (Review(), "accept", {"actor_role": "gateway"}, Refused),
        (Review(), "accept", {"finding": ""}, Refused),
        (Review(), "accept", {"finding": "Jane Doe"}, Refused),
        (Review(), "amend", {}, Refused),
        (Review(), "release", {}, Refused),
        (CLAIMED, "release", {}, Applied),
        (CLAIMED, "release", {"actor_role": "operator", "actor": "somebody"}, Applied),
        (CLAIMED, "release", {"actor": "reader-2"}, Refused),
        (CLAIMED, "claim", {"actor": "reader-2"}, Refused),
        (CLAIMED, "sign", {"actor": "reader-2"}, Refused),
        (CLAIMED, "sign", {}, Applied),
        (SIGNED, "sign", {}, Refused),
        (SIGNED, "accept", {}, Refused),
        (SIGNED, "sign", {"version_seen": 3}, Conflict),
        (CLAIMED, "sign", {"version_seen": 2}, Conflict),
        (CLAIMED, "sign", {"revision_seen": 2}, Conflict),
    ],
)
def test_each_command_is_carried_out_refused_or_in_conflict(
    review: Review, action: str, changes: dict[str, Any], said: type[object]
) -> None:
    command = review_command("c1", action, **{"version_seen": review.version, **changes})
    assert isinstance(apply(review, command, 1, NOW), said)


def test_a_revision_after_the_signature_is_reviewed_afresh() -> None:
    command = review_command("c1", "sign", actor="reader-2", version_seen=SIGNED.version, revision_seen=2)
    verdict = apply(SIGNED, command, 2, NOW + 1)
    assert isinstance(verdict, Applied)
    assert (verdict.review.revision, verdict.review.version, verdict.review.signed_by) == (2, 5, "reader-2")


def test_the_signed_revision_itself_stays_signed_when_a_later_one_came() -> None:
    command = review_command("c1", "sign", version_seen=SIGNED.version, revision_seen=1)
    assert isinstance(apply(SIGNED, command, 2, NOW), Conflict)


def test_a_command_on_no_study_is_refused() -> None:
    assert isinstance(apply(Review(), review_command("c1", "claim"), None, NOW), Refused)


def test_the_latest_decision_on_a_finding_counts(study: World) -> None:
    reviews(study, review_command("c1", "accept"))
    reviews(study, review_command("c2", "accept", finding="effusion", version_seen=1))
    (state,) = reviews(study, review_command("c3", "reject", version_seen=2))
    assert [(each.finding, each.decision) for each in state.decisions] == [
        ("effusion", "accepted"),
        ("pneumothorax", "rejected"),
    ]
    assert (state.version, state.status) == (3, "open")


def test_two_readers_sign_at_once_one_succeeds_and_one_is_told(study: World) -> None:
    (state,) = reviews(study, review_command("c1", "sign"))
    assert reviews(study, review_command("c2", "sign", actor="reader-2")) == []
    assert (state.status, state.signed_by, state.signed_at) == ("signed", "reader-1", study.clock.now())
    assert (outcome(study, "c1"), outcome(study, "c2")) == (("done", 1), ("conflict", 1))


def test_a_reader_who_saw_an_older_revision_of_the_study_is_told(study: World) -> None:
    changed = StudyAssemblyRow(site=SITE, study=STUDY, version=2, revision=2)
    study.tables.compare_and_set(changed, expect={"version": 1})
    assert reviews(study, review_command("c1", "sign")) == []
    assert outcome(study, "c1") == ("conflict", 0)


def test_the_same_command_again_gives_the_same_outcome_and_event(study: World) -> None:
    first = study.run("review_study", STEP, review_command("c1", "claim"))
    reviews(study, review_command("c2", "sign", version_seen=1))
    study.clock.advance(60)
    assert timeless(study.run("review_study", STEP, review_command("c1", "claim"))) == timeless(first)
    assert outcome(study, "c1") == ("done", 1)


def test_a_refusal_stays_a_refusal_whatever_came_after(study: World) -> None:
    command = review_command("c1", "sign", actor_role="operator")
    assert reviews(study, command) == []
    reviews(study, review_command("c2", "claim"))
    assert reviews(study, command) == []
    assert outcome(study, "c1") == ("refused", 0)


def test_a_crash_before_the_outcome_was_told_gives_the_outcome_of_what_was_done(study: World) -> None:
    with pytest.raises(Crash):
        study.run("review_study", STEP, review_command("c1", "sign"), crash_at=4)
    assert study.tables.get(ReviewOutcomeRow, site=SITE, command_id="c1") is None
    assert [each.signed_by for each in reviews(study, review_command("c1", "sign"))] == ["reader-1"]
    assert outcome(study, "c1") == ("done", 1)
