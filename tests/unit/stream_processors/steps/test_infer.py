"""Images to raw outputs: each image for itself, in the order asked for."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from inference import placement
from inference.geometry import Geometry, PatientGeometry
from inference.localisation import Finding
from inference.pixels import PixelFrame
from runtime.errors import DeadLetterError, RetryError
from schemas.events import Findings, InferenceCompleted
from stream_processors.step import StepSettings
from stream_processors.steps import publish_findings
from stream_processors.steps.infer import STEP, activation_file, label_output
from tests.support import scripted_model
from tests.support.context import FolderContext, World, events, timeless
from tests.support.events import SITE, STUDY, requested

pytestmark = pytest.mark.usefixtures("scripted")

FAILS, SILENT = 13, 14
"""First bytes of files that the scripted server refuses, or does not answer for now."""


def answer(model: str, tensor: NDArray[Any]) -> Mapping[str, NDArray[np.float32]]:
    value = int(tensor.flat[0])
    if value == FAILS:
        raise DeadLetterError("model-refused")
    if value == SILENT:
        raise RetryError("no answer")
    return scripted_model.outputs(-value / 3, value / 3)


@pytest.fixture
def stored(world: World) -> World:
    world.answer = answer
    files = {
        "a": b"\x01",
        "b": b"\x02",
        "refused": scripted_model.REFUSED,
        "fails": bytes([FAILS]),
        "silent": bytes([SILENT]),
    }
    for name, data in files.items():
        world.objects.put("clean", f"{SITE}/{name}", data)
    return world


def completed(world: World, *names: str) -> InferenceCompleted:
    (event,) = events(world.run("infer", STEP, requested("e1", *names)))
    assert isinstance(event, InferenceCompleted)
    return event


def test_results_come_in_the_order_of_the_request_with_rounded_logits(stored: World) -> None:
    event = completed(stored, "b", "a")
    assert [each.instance for each in event.results] == ["in-b", "in-a"]
    assert [output.logit for output in event.results[1].outputs] == [-0.33333, 0.33333]
    assert (event.backend, event.model_digest) == ("scripted", scripted_model.SPEC.digest)


@pytest.mark.parametrize(
    ("name", "status", "reason"),
    [
        ("refused", "not-acceptable", "wrong view"),
        ("fails", "failed", "model-refused"),
        ("missing", "failed", "image-missing"),
    ],
)
def test_an_image_that_fails_for_good_says_so_and_fails_no_other(
    stored: World, name: str, status: str, reason: str
) -> None:
    event = completed(stored, "a", name, "b")
    assert [each.status for each in event.results] == ["ok", status, "ok"]
    assert event.results[1].reason == reason
    assert (event.results[1].outputs, event.results[1].activation_key) == ((), "")


def test_a_server_that_does_not_answer_is_asked_again(stored: World) -> None:
    with pytest.raises(RetryError):
        completed(stored, "a", "silent")


def test_an_answer_that_comes_too_late_is_asked_for_again(stored: World) -> None:
    class Slow(FolderContext):
        async def infer(
            self, model: str, tensors: NDArray[Any], *, priority: int
        ) -> Mapping[str, NDArray[np.float32]]:
            await asyncio.Event().wait()
            raise AssertionError("nobody sets it")

    stored.settings = StepSettings(model_deadline_s=0.001)

    async def drive() -> None:
        async for _ in STEP.run(requested("e1", "a"), Slow(stored, "infer")):
            raise AssertionError("there is no result")

    with pytest.raises(RetryError):
        asyncio.run(drive())


def test_a_model_nobody_has_is_a_dead_letter(stored: World) -> None:
    with pytest.raises(DeadLetterError, match="unknown-model"):
        stored.run("infer", STEP, requested("e1", "a", model="other"))


def test_a_logit_that_is_no_number_is_a_failure(stored: World) -> None:
    stored.answer = lambda model, tensor: scripted_model.outputs(float("nan"), 1.0)
    (result,) = completed(stored, "a").results
    assert (result.status, result.reason) == ("failed", "not-a-number")


def test_a_box_lies_in_whole_pixels_of_the_original_and_only_where_the_label_is_present(
    stored: World,
) -> None:
    (result,) = completed(stored, "b").results
    effusion, pneumothorax = result.outputs
    assert effusion.box is None
    assert pneumothorax.box is not None
    assert (pneumothorax.box.x, pneumothorax.box.y, pneumothorax.box.width, pneumothorax.box.height) == (
        0,
        0,
        8,
        8,
    )


def test_activation_maps_lie_under_the_study_and_read_back(stored: World) -> None:
    (result,) = completed(stored, "a").results
    assert result.activation_key.startswith(f"{SITE}/{STUDY}/1/activation-in-a-")
    with np.load(io.BytesIO(stored.objects.get("results", result.activation_key))) as arrays:
        assert arrays["cam"].shape == (2, 2, 2)
        assert arrays["labels"].tolist() == list(scripted_model.LABELS)
        assert arrays["geometry"].tolist() == [16, 16, 8, 0.5, 0, 0]


def test_an_activation_file_depends_on_its_content_alone() -> None:
    geometry = Geometry(rows=2, columns=2, side=2, scale=1.0, left=0, top=0)
    cams = np.ones((1, 2, 2), dtype=np.float32)
    made = activation_file(cams, ["x"], geometry)
    assert made == activation_file(cams + np.float32(1e-6), ["x"], geometry)
    assert made != activation_file(cams + 1, ["x"], geometry)


def test_a_repeat_gives_the_same_event_and_the_same_objects(stored: World) -> None:
    first = stored.run("infer", STEP, requested("e1", "a", "refused", "fails"))
    objects = {each.key: stored.objects.get("results", each.key) for each in stored.objects.keys("results")}
    stored.clock.advance(60)
    assert timeless(stored.run("infer", STEP, requested("e1", "a", "refused", "fails"))) == timeless(first)
    assert {
        each.key: stored.objects.get("results", each.key) for each in stored.objects.keys("results")
    } == objects


def given_up(world: World, reason: str, **changes: Any) -> InferenceCompleted:
    assert STEP.give_up is not None
    (event,) = STEP.give_up(requested("e1", "a", "b", **changes), reason, FolderContext(world, "infer"))
    assert isinstance(event, InferenceCompleted)
    return event


def test_a_request_that_is_given_up_says_of_every_image_that_it_failed_and_why(stored: World) -> None:
    event = given_up(stored, "retries-exhausted")
    assert [(each.instance, each.status, each.reason, each.outputs) for each in event.results] == [
        ("in-a", "failed", "retries-exhausted", ()),
        ("in-b", "failed", "retries-exhausted", ()),
    ]
    assert (event.model, event.model_digest) == ("scripted", scripted_model.SPEC.digest)
    assert event.envelope.event_id != completed(stored, "a", "b").envelope.event_id
    assert given_up(stored, "retries-exhausted").envelope.event_id == event.envelope.event_id


@pytest.mark.parametrize(
    ("reason", "model"),
    [("retries-exhausted", "scripted"), ("unknown-model", "nobody-s"), ("unexpected-error", "scripted")],
)
def test_a_study_whose_request_was_given_up_ends_as_undetermined(
    stored: World, reason: str, model: str
) -> None:
    cause = given_up(stored, reason, model=model)
    (findings,) = events(stored.run("publish_findings", publish_findings.STEP, cause))
    assert isinstance(findings, Findings)
    assert (findings.status, findings.reason_code, findings.findings) == ("undetermined", "model-failed", ())
    assert findings.reason == f"2 of 2 images failed: {reason}"


def test_a_later_success_replaces_what_was_given_up(stored: World) -> None:
    stored.run("publish_findings", publish_findings.STEP, given_up(stored, "retries-exhausted"))
    stored.clock.advance(1)
    (findings,) = events(stored.run("publish_findings", publish_findings.STEP, completed(stored, "a", "b")))
    assert isinstance(findings, Findings)
    assert findings.status == "analysed"


def test_an_image_tells_how_long_its_stages_took_and_one_of_a_request_is_watched(stored: World) -> None:
    completed(stored, "a", "b", "a")

    assert [(each.model, each.digest) for each in stored.measures] == [
        (scripted_model.SPEC.name, scripted_model.SPEC.digest)
    ] * 3
    for each in stored.measures:
        assert min(each.decode_s, each.tensor_s, each.after_s) >= 0
    (watched,) = [each.statistics for each in stored.measures if each.statistics is not None]
    assert set(watched) == {"level", "spread", "noise"}
    assert watched["level"] == 2


SLICE = PatientGeometry(
    np.array([[0.4, 0, 0, -100], [0, 0.3, -0.4, -80], [0, 0.4, 0.3, 20], [0, 0, 0, 1]], float), "1.2.3"
)
"""A tilted slice."""
LINES = (((10.2, 20.0), (30.0, 20.0), (30.0, 44.5), (10.2, 44.5)), ((50.0, 50.0), (60.0, 50.0), (60.0, 58.0)))


def output(patient: PatientGeometry | None, spacing: tuple[float, float] | None = None) -> Any:
    geometry = Geometry(rows=64, columns=64, side=8, scale=0.125, left=0, top=0)
    frame = PixelFrame(np.zeros((1, 8, 8), np.int16), geometry, patient, spacing)
    heat = np.zeros((8, 8), np.float32)
    return label_output(Finding("effusion", 2.0, 0.9, True, (10.2, 20.0, 60.0, 58.0), heat, LINES), frame)


def test_a_place_is_told_in_pixels_and_in_the_patient_and_both_agree_to_a_hundredth_of_a_millimetre() -> None:
    told = output(SLICE)
    for outline, line in zip(told.outlines, LINES, strict=True):
        again = placement.contour_in_patient(placement.contour_of(outline.pixels), SLICE)
        assert np.abs(again - placement.corners_of(outline.patient)).max() < 0.01
        np.testing.assert_allclose(placement.contour_of(outline.pixels), line, atol=0.001)
    edges = placement.contour_in_image(placement.corners_of(told.box_patient), SLICE)
    np.testing.assert_allclose(edges, [(10, 20), (60, 20), (60, 58), (10, 58)], atol=0.01)
    assert [each.name for each in told.measurements] == ["marked_area", "marked_extent"]


def test_an_image_without_a_place_in_the_patient_tells_pixels_only() -> None:
    told = output(None)
    assert (told.box_patient, told.measurements) == ((), ())
    assert [outline.patient for outline in told.outlines] == [(), ()]
    assert output(None, (0.2, 0.2)).measurements[0].name == "marked_area_on_detector"
