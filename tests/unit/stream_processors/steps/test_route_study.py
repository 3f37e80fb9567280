"""Which model reads which image, and what is said where none does."""

from __future__ import annotations

from typing import Any

import pytest

from inference.models import cxr_demo
from schemas.events import InferenceRequested, InferenceSkipped
from stream_processors.step import To
from stream_processors.steps import assemble_study, route_study
from stream_processors.steps.route_study import route, skip
from tests.support.context import FolderContext, World, deadlines, events, timeless
from tests.support.events import deidentified, image, study_state

MODELS = (cxr_demo.SPEC,)


@pytest.mark.parametrize(
    ("changes", "readable"),
    [
        ({}, True),
        ({"modality": "CR"}, True),
        ({"view_position": "AP"}, True),
        ({"modality": "CT"}, False),
        ({"body_part": "unknown"}, False),
        ({"body_part": "HAND"}, False),
        ({"age_band": "child"}, False),
        ({"age_band": "unknown"}, False),
        ({"view_position": "LATERAL"}, False),
        ({"view_position": "unknown"}, False),
        ({"number_of_frames": 2}, False),
        ({"pixels_at_risk": "burned-in-annotation"}, False),
        ({"rows": 0}, False),
    ],
)
def test_a_model_reads_what_it_was_made_for_and_nothing_unknown(
    changes: dict[str, Any], readable: bool
) -> None:
    assert bool(route((image("a", **changes),), MODELS)) is readable


@pytest.mark.parametrize(
    ("images", "quarantined", "code", "text"),
    [
        ([{"modality": "CT", "body_part": "unknown"}], 0, "no-model", "no model for CT"),
        (
            [{"modality": "US", "pixels_at_risk": "ultrasound"}],
            0,
            "pixels-at-risk",
            "kept from inference: ultrasound may carry burned-in text",
        ),
        ([{"age_band": "child"}], 0, "no-model", "no model for chest X-ray of a child"),
        (
            [{"age_band": "unknown"}],
            0,
            "no-model",
            "no model for chest X-ray of a patient of unknown age, who may be a child",
        ),
        ([{"body_part": "unknown"}], 0, "no-model", "no model for DX of an unknown body part"),
        ([{"view_position": "LATERAL"}], 0, "no-model", "no model for chest X-ray in LATERAL view"),
        ([{"modality": "CT"}, {"modality": "CT"}, {"modality": "SR"}], 0, "no-model", "no model for CT"),
        ([], 1, "not-de-identified", "not de-identified: 1 image was refused"),
        ([], 3, "not-de-identified", "not de-identified: 3 images were refused"),
    ],
)
def test_a_study_that_is_not_read_says_why(
    images: list[dict[str, Any]], quarantined: int, code: str, text: str
) -> None:
    instances = [image(str(number), **changes) for number, changes in enumerate(images)]
    reason = skip(instances, quarantined, MODELS)
    assert reason is not None
    assert (reason.code, reason.text) == (code, text)


def test_a_study_with_one_readable_image_is_not_skipped() -> None:
    assert skip([image("a"), image("b", modality="CT")], 0, MODELS) is None


@pytest.mark.parametrize(
    ("priority", "topic"),
    [
        ("stat", "inference.requested.stat.v1"),
        ("unknown", "inference.requested.stat.v1"),
        ("routine", "inference.requested.routine.v1"),
    ],
)
def test_unknown_orders_overtake_routine_ones_like_stat(world: World, priority: str, topic: str) -> None:
    state = study_state("e1", image("a"), ordered_priority=priority)
    (output,) = world.run("route_study", route_study.STEP, state)
    assert isinstance(output, To)
    assert output.topic == topic


def test_only_what_a_revision_added_is_requested(world: World) -> None:
    state = study_state("e1", image("b"), image("c", modality="SR"), revision=2, status="revised")
    (request,) = events(world.run("route_study", route_study.STEP, state))
    assert isinstance(request, InferenceRequested)
    assert [each.instance for each in request.instances] == ["in-b"]
    assert (request.revision, request.model) == (2, cxr_demo.SPEC.name)


def assembled(world: World, *causes: Any) -> list[Any]:
    found: list[Any] = []
    for cause in causes:
        found.extend(events(world.run("assemble_study", assemble_study.STEP, cause)))
    return found


def completed(world: World, *causes: Any) -> Any:
    outputs = [world.run("assemble_study", assemble_study.STEP, cause) for cause in causes]
    (deadline,) = [each for output in outputs for each in deadlines(output)]
    world.clock.advance(10)
    (state,) = assembled(world, deadline)
    return state


def test_a_complete_study_that_something_was_requested_for_says_nothing(world: World) -> None:
    state = completed(world, deidentified("e1", image("a"), image("b", modality="SR")))
    assert world.run("route_study", route_study.STEP, state) == []


def test_a_complete_study_that_no_model_reads_is_said_to_be_skipped(world: World) -> None:
    state = completed(world, deidentified("e1", image("a", modality="CT"), image("b", modality="CT")))
    (told,) = events(world.run("route_study", route_study.STEP, state))
    assert isinstance(told, InferenceSkipped)
    assert (told.reason, told.modality, told.instance_count) == ("no model for CT of chest", "CT", 2)


def test_a_late_readable_image_does_not_change_what_is_said_of_the_revision_before(world: World) -> None:
    state = completed(world, deidentified("e1", image("a", modality="CT")))
    before = world.run("route_study", route_study.STEP, state)
    assembled(world, deidentified("e2", image("b")))
    assert timeless(world.run("route_study", route_study.STEP, state)) == timeless(before)
    assert len(before) == 1


def test_a_study_of_more_images_than_one_page_is_read_whole(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(route_study, "PAGE", 2)
    images = [image(str(number), modality="CT") for number in range(4)]
    state = completed(world, deidentified("e1", *images, image("z")))
    assert world.run("route_study", route_study.STEP, state) == []


@pytest.mark.parametrize("status", ["provisional", "complete"])
def test_a_state_that_is_given_up_is_said_to_be_so(world: World, status: str) -> None:
    state = study_state("e1", image("a"), status=status)
    assert route_study.STEP.give_up is not None
    (event,) = route_study.STEP.give_up(state, "unexpected-error", FolderContext(world, "route_study"))
    assert isinstance(event, InferenceSkipped)
    assert (event.reason_code, event.reason) == ("given-up", "models could not be chosen: unexpected-error")
    assert (event.revision, event.instance_count, event.synthetic) == (1, 1, False)
