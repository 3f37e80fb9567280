"""A result in, its place in the reading order out."""

from __future__ import annotations

from schemas.events import RiskScored
from stream_processors.risk.rules import RULE_VERSION
from stream_processors.steps.score_risk import STEP
from tests.support.context import World, events
from tests.support.events import finding, findings


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
