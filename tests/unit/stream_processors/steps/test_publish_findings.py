"""Raw outputs to the public result: joined over images, honest about what is missing."""

from __future__ import annotations

import math

import pytest

from inference.spec import Code, Label
from schemas.events import Findings, InferenceCompleted, InstanceResult
from stream_processors.steps.publish_findings import STEP, certainty, certainty_of, verdict
from tests.support.context import FolderContext, World, events, timeless
from tests.support.events import completed, digest, finding, result, skipped

pytestmark = pytest.mark.usefixtures("scripted")


def published(world: World, cause: object) -> list[Findings]:
    found = events(world.run("publish_findings", STEP, cause))  # type: ignore[arg-type]
    assert all(isinstance(each, Findings) for each in found)
    return found  # type: ignore[return-value]


def answered(event_id: str, revision: int, *results: InstanceResult) -> InferenceCompleted:
    return completed(event_id, *results, revision=revision)


WEAK = {"effusion": -3.0, "pneumothorax": -3.0}
STRONG = {"effusion": -3.0, "pneumothorax": 3.0}


def test_findings_are_calibrated_coded_and_strongest_first(world: World) -> None:
    (event,) = published(world, completed("e1", result("a", {"effusion": -2.0, "pneumothorax": 2.0})))
    assert [each.finding for each in event.findings] == ["pneumothorax", "effusion"]
    assert event.findings[0].probability == round(1 / (1 + math.exp(-2)), 4)
    assert [each.certainty for each in event.findings] == ["high", "low"]
    assert (event.status, event.calibration_version, event.backend) == ("analysed", "c1", "scripted")
    assert [each.instance for each in event.images] == ["in-a"]


def test_the_highest_probability_of_all_images_counts_and_names_its_image(world: World) -> None:
    (event,) = published(world, completed("e1", result("a", WEAK), result("b", STRONG)))
    assert (event.findings[0].finding, event.findings[0].instance) == ("pneumothorax", "in-b")


def test_a_late_image_joins_the_earlier_ones(world: World) -> None:
    (first,) = published(world, answered("e1", 1, result("a", STRONG)))
    (second,) = published(world, answered("e2", 2, result("b", WEAK)))
    assert (second.revision, second.findings[0].instance, len(second.images)) == (2, "in-a", 2)
    assert second.result_id != first.result_id


def test_an_earlier_revision_that_is_answered_later_is_not_lost_from_the_current_result(world: World) -> None:
    (early,) = published(world, answered("e2", 2, result("b", WEAK)))
    first, second = published(world, answered("e1", 1, result("a", STRONG)))
    assert (first.revision, second.revision) == (1, 2)
    assert (second.findings[0].finding, second.findings[0].instance) == ("pneumothorax", "in-a")
    assert second.result_id != early.result_id


def test_a_repeat_after_a_later_revision_gives_the_same_events_again(world: World) -> None:
    one, two = answered("e1", 1, result("a", STRONG)), answered("e2", 2, result("b", WEAK))
    first, second = published(world, one), published(world, two)
    again = published(world, one)
    assert [each.envelope.event_id for each in again] == [
        each.envelope.event_id for each in (*first, *second)
    ]
    assert timeless([again[0]]) == timeless([first[0]])
    assert again[1].findings == second[0].findings


def test_a_failed_image_makes_nothing_found_undetermined(world: World) -> None:
    failed = result("b", status="failed", reason="model-refused")
    (event,) = published(world, completed("e1", result("a", WEAK), failed))
    assert (event.status, event.reason_code) == ("undetermined", "model-failed")
    assert event.reason == "1 of 2 images failed: model-refused"


def test_a_finding_beside_a_failed_image_is_reported_as_partial(world: World) -> None:
    failed = result("b", status="failed", reason="model-refused")
    (event,) = published(world, completed("e1", result("a", STRONG), failed))
    assert (event.status, event.reason_code) == ("analysed", "partial")
    assert event.findings[0].finding == "pneumothorax"


@pytest.mark.parametrize(
    ("statuses", "positive", "said"),
    [
        (("ok",), False, ("analysed", "")),
        (("failed",), False, ("undetermined", "model-failed")),
        (("ok", "failed"), False, ("undetermined", "model-failed")),
        (("ok", "failed"), True, ("analysed", "partial")),
        (("not-acceptable",), False, ("not-analysed", "not-acceptable")),
        (("ok", "not-acceptable"), False, ("analysed", "partial")),
        (("failed", "not-acceptable"), False, ("undetermined", "model-failed")),
    ],
)
def test_a_failure_is_never_silently_normal(
    statuses: tuple[str, ...], positive: bool, said: tuple[str, str]
) -> None:
    results = [result(str(n), status=status, reason="why") for n, status in enumerate(statuses)]
    found = [finding("pneumothorax", probability=0.9 if positive else 0.1)]
    assert verdict(results, found)[:2] == said


def test_weights_that_this_release_cannot_calibrate_give_undetermined(world: World) -> None:
    (event,) = published(world, completed("e1", result("a", STRONG), model_digest=digest("other")))
    assert (event.status, event.reason_code, event.findings) == ("undetermined", "unknown-model", ())


def test_a_skipped_study_is_published_as_not_analysed_with_its_reason(world: World) -> None:
    (event,) = published(world, skipped("e1"))
    assert (event.status, event.reason_code, event.reason) == ("not-analysed", "no-model", "no model for CT")
    assert (event.model, event.findings, event.images, event.inputs_digest) == ("", (), (), "")


@pytest.mark.parametrize(
    ("probability", "threshold", "said"),
    [
        (0.0, 0.4, "low"),
        (0.3999, 0.4, "low"),
        (0.4, 0.4, "uncertain"),
        (0.7999, 0.4, "uncertain"),
        (0.8, 0.4, "high"),
        (0.85, 0.9, "low"),
        (0.0499, 0.001, "low"),
        (0.05, 0.001, "uncertain"),
    ],
)
def test_certainty_follows_the_probability_and_never_exceeds_low_below_the_threshold(
    probability: float, threshold: float, said: str
) -> None:
    assert certainty(probability, threshold) == said


@pytest.mark.parametrize(
    ("high_from", "low_below", "probability", "said"),
    [
        (0.7, 0.1, 0.7, "high"),
        (0.7, 0.1, 0.6999, "uncertain"),
        (0.7, 0.1, 0.1, "uncertain"),
        (0.7, 0.1, 0.0999, "low"),
        (None, 0.1, 0.99, "uncertain"),
        (0.7, None, 0.0, "uncertain"),
    ],
)
def test_a_class_that_calibration_could_not_prove_is_never_given(
    high_from: float | None, low_below: float | None, probability: float, said: str
) -> None:
    code = Code("x", "99RADSTREAM", "x", verified=False)
    label = Label("x", code, 1.0, 0.0, 0.3, conformal=True, high_from=high_from, low_below=low_below)
    assert certainty_of(label, probability) == said


@pytest.mark.parametrize(
    "cause", [completed("e1", result("a", WEAK)), skipped("e1")], ids=["read", "skipped"]
)
def test_a_result_that_is_given_up_is_undetermined(world: World, cause: object) -> None:
    assert STEP.give_up is not None
    (event,) = STEP.give_up(cause, "retries-exhausted", FolderContext(world, "publish_findings"))
    assert isinstance(event, Findings)
    assert (event.status, event.reason_code, event.findings) == ("undetermined", "given-up", ())
    assert event.reason == "the result could not be published: retries-exhausted"
    (again,) = STEP.give_up(cause, "unexpected-error", FolderContext(world, "publish_findings"))
    assert isinstance(again, Findings)
    assert again.envelope.event_id == event.envelope.event_id


def test_a_study_that_nobody_could_route_is_undetermined_unless_a_model_has_read_it(world: World) -> None:
    unknown = skipped("e9", reason_code="given-up", reason="models could not be chosen: unexpected-error")
    (event,) = published(world, unknown)
    assert (event.status, event.reason_code, event.reason) == ("undetermined", "given-up", unknown.reason)
    published(world, completed("e1", result("a", STRONG)))
    assert published(world, unknown) == []
