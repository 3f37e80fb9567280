"""A head CT is read as a series, once its study is complete, through every step with the real model."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from inference.aggregation import series_logit
from inference.in_process import InProcess
from inference.models import head_ct_demo
from inference.training import files
from inference.training.head import ANY
from inference.training.phantoms import SyntheticIdentity
from schemas.events import Findings, InferenceCompleted, InferenceRequested, InferenceSkipped, StudyState
from stream_processors.steps import assemble_study, deidentify, infer, publish_findings, route_study
from tests.support.context import World, deadlines, events
from tests.support.events import SITE, deidentified, image, received, received_instance

WHO = SyntheticIdentity("Probe^Synthetic", "P1", "A1", "19600101", "F", datetime(2026, 1, 2, tzinfo=UTC))
SEED, SLICES = 77, 10
WINDOW_S = 10


def answer(model: str, tensor: NDArray[Any]) -> Mapping[str, NDArray[np.float32]]:
    assert model == head_ct_demo.SPEC.name
    outputs = InProcess()._run(head_ct_demo.SPEC, {"image": tensor[None]})
    return {name: value[0] for name, value in outputs.items()}


def slices(*names: str, **changes: Any) -> list[Any]:
    told = {"modality": "CT", "body_part": "HEAD", "view_position": "unknown", **changes}
    return [image(name, **told) for name in names]


def states(world: World, event_id: str, *names: str) -> list[StudyState]:
    """States that slices bring about: at once, and when the quiet window has passed."""
    outputs = world.run("assemble_study", assemble_study.STEP, deidentified(event_id, *slices(*names)))
    found = events(outputs)
    world.clock.advance(WINDOW_S)
    for deadline in deadlines(outputs):
        found += events(world.run("assemble_study", assemble_study.STEP, deadline))
    return [each for each in found if isinstance(each, StudyState)]


def requests(world: World, state: StudyState) -> list[InferenceRequested]:
    found = events(world.run("route_study", route_study.STEP, state))
    return [each for each in found if isinstance(each, InferenceRequested)]


def test_a_series_waits_for_the_quiet_window_and_is_asked_for_whole(world: World) -> None:
    provisional, complete = states(world, "e1", *"abcde")
    assert (provisional.status, complete.status) == ("provisional", "complete")
    assert requests(world, provisional) == []
    (request,) = requests(world, complete)
    assert (request.model, request.revision) == (head_ct_demo.SPEC.name, 1)
    assert [each.instance for each in request.instances] == [f"in-{name}" for name in "abcde"]


def test_late_slices_alone_are_read_when_the_study_is_complete_again(world: World) -> None:
    states(world, "e1", *"abcde")
    revised, complete = states(world, "e2", "f")
    assert (revised.status, complete.status, complete.revision) == ("revised", "complete", 2)
    assert requests(world, revised) == []
    (request,) = requests(world, complete)
    assert [each.instance for each in request.instances] == ["in-f"]


def test_a_lone_slice_is_not_read_and_said_to_be_too_little(world: World) -> None:
    *_, complete = states(world, "e1", "a")
    (said,) = events(world.run("route_study", route_study.STEP, complete))
    assert isinstance(said, InferenceSkipped)
    assert (said.reason_code, said.reason) == ("too-few-images", "too few images of a series")


def test_a_series_that_becomes_long_enough_is_read_whole(world: World) -> None:
    states(world, "e1", *"abc")
    *_, complete = states(world, "e2", *"de")
    (request,) = requests(world, complete)
    assert [each.instance for each in request.instances] == [f"in-{name}" for name in "abcde"]


@pytest.mark.parametrize("present", [frozenset({"intraparenchymal"}), frozenset()], ids=["bleeding", "clear"])
def test_a_head_ct_goes_from_files_to_one_finding_per_label(world: World, present: frozenset[str]) -> None:
    made = files.head_ct(SEED, WHO, findings=present, slices=SLICES)
    names = [f"{number:02d}" for number in range(SLICES)]
    world.raw.files = {("raw", f"{SITE}/{name}"): data for name, data in zip(names, made, strict=True)}
    world.answer = answer
    chunk = received(
        "e1", *(received_instance(n, size=len(data)) for n, data in zip(names, made, strict=True))
    )
    (clean,) = events(world.run("deidentify", deidentify.STEP, chunk))
    outputs = world.run("assemble_study", assemble_study.STEP, clean)
    world.clock.advance(WINDOW_S)
    (deadline,) = deadlines(outputs)
    (complete,) = events(world.run("assemble_study", assemble_study.STEP, deadline))
    assert isinstance(complete, StudyState)
    (request,) = requests(world, complete)
    (read,) = events(world.run("infer", infer.STEP, request))
    assert isinstance(read, InferenceCompleted)
    assert [each.status for each in read.results] == ["ok"] * SLICES
    (result,) = events(world.run("publish_findings", publish_findings.STEP, read))
    assert isinstance(result, Findings)
    found = {each.finding: each for each in result.findings}

    assert set(found) == {label.name for label in head_ct_demo.SPEC.labels}
    assert (found[ANY].probability >= found[ANY].threshold) is bool(present)
    assert (found[ANY].box is not None) is bool(present)
    logits = [next(o.logit for o in each.outputs if o.label == ANY) for each in read.results]
    expected = head_ct_demo.SPEC.label(ANY).probability(series_logit(logits))
    assert found[ANY].probability == round(expected, 4)
    assert found[ANY].instance == read.results[int(np.argmax(logits))].instance
