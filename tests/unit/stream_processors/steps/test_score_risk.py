"""A result in, its place in the reading order out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from schemas.events import Box, RiskScored
from schemas.rows import FindingRow, ReviewRow
from stream_processors.decisions import Entry, appended
from stream_processors.risk.rules import RULE_VERSION
from stream_processors.steps.score_risk import STEP
from tests.support.context import START, World, events
from tests.support.events import SITE, STUDY, finding, findings


def scored(world: World, *found: object, **changes: object) -> RiskScored:
    (event,) = events(world.run("score_risk", STEP, findings("e1", *found, **changes)))  # type: ignore[arg-type]
    assert isinstance(event, RiskScored)
    return event


def test_a_score_names_the_result_the_rule_and_its_version(world: World) -> None:
    event = scored(world, finding("pneumothorax"))
    assert (event.urgency, event.alert_class, event.rule) == ("critical", "critical", "R2")
    assert (event.rule_version, event.result_id) == (RULE_VERSION, findings("e1").result_id)


def test_a_score_says_that_its_result_is_a_demonstration_on_synthetic_images(world: World) -> None:
    event = scored(world, demonstration=True, synthetic=True)
    assert (event.demonstration, event.synthetic) == (True, True)
    assert not scored(world, demonstration=False).demonstration


def test_another_result_of_the_same_revision_is_another_event(world: World) -> None:
    assert scored(world).envelope.event_id != scored(world, result_id="another").envelope.event_id


def signed(
    world: World, ago_s: float, decision: str = "accepted", revision: int = 1, status: str = "signed"
) -> None:
    """A review of an earlier revision whose last state is so old, and the finding it spoke of."""
    at = START - round(ago_s * 1e6)
    said = {"finding": "pneumothorax", "decision": decision, "actor": "reader-1", "at": at}
    state = {"revision": revision, "status": status, "decisions": [said]}
    history = appended(None, Entry(1, "command-1", at, state))
    world.tables.insert_if_absent(ReviewRow(site=SITE, study=STUDY, version=1, history=history))
    row = FindingRow(
        site=SITE, study=STUDY, revision=1, finding="pneumothorax", instance="in-a", box="[0, 0, 10, 10]"
    )
    world.tables.write(row, at=at)


BOXED = replace(finding("pneumothorax"), box=Box(x=5, y=5, width=10, height=10))
DAY_S = 24 * 3600


def test_a_finding_that_was_signed_within_a_day_pages_nobody_again(world: World) -> None:
    signed(world, DAY_S)
    event = scored(world, BOXED, revision=2)
    assert (event.urgency, event.rule, event.alert_class) == ("high", "R9", "")
    grown = replace(BOXED, box=Box(x=5, y=5, width=12, height=10))
    assert scored(world, grown, revision=2).alert_class == "critical"


@pytest.mark.parametrize(
    "told",
    [
        pytest.param({"ago_s": DAY_S + 1}, id="too long ago"),
        pytest.param({"ago_s": 59}, id="at the same moment"),
        pytest.param({"ago_s": 600, "decision": "rejected"}, id="rejected"),
        pytest.param({"ago_s": 600, "status": "open"}, id="not signed"),
        pytest.param({"ago_s": 600, "revision": 2}, id="this revision"),
    ],
)
def test_every_other_decision_leaves_the_page(world: World, told: dict[str, Any]) -> None:
    signed(world, **told)
    assert scored(world, BOXED, revision=2).alert_class == "critical"
