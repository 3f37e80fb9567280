"""What each demonstration model sees in a picture whose findings are known, through its own reading of DICOM files."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import pytest

from inference.catalogue import all_models
from inference.in_process import InProcess
from inference.training import files
from inference.training.phantoms import SyntheticIdentity

WHO = SyntheticIdentity("Probe^Synthetic", "P1", "A1", "19700101", "F", datetime(2026, 1, 2, tzinfo=UTC))
SEED = 31
MAKERS: dict[str, tuple[Callable[..., bytes], frozenset[str]]] = {
    "brain_mr_demo": (files.brain_mr_image, frozenset({"lesion"})),
    "ultrasound_demo": (files.ultrasound_clip, frozenset({"cyst"})),
}


async def present(name: str, findings: frozenset[str]) -> set[str]:
    maker, _ = MAKERS[name]
    model = all_models()[name]
    frame = model.preprocess(maker(SEED, WHO, findings=findings))
    outputs = await InProcess().infer(model.SPEC, {"image": frame.tensor[None]})
    found = model.postprocess({key: value[0] for key, value in outputs.items()}, frame.geometry)
    return {each.label for each in found if each.present}


@pytest.mark.parametrize("name", sorted(MAKERS))
async def test_what_is_there_is_seen_and_nothing_in_a_clear_picture(name: str) -> None:
    assert await present(name, MAKERS[name][1]) == MAKERS[name][1]
    assert await present(name, frozenset()) == set()


async def test_of_a_colour_clip_the_middle_frame_is_read() -> None:
    model = all_models()["ultrasound_demo"]
    frame = model.preprocess(files.ultrasound_clip(SEED, WHO, findings=frozenset({"mass"}), frames=5))
    assert frame.tensor.shape == (3, 128, 128)
    assert frame.tensor.dtype == np.uint8


@pytest.mark.parametrize("name", sorted(all_models()))
def test_the_stated_figures_are_those_that_are_promised(name: str) -> None:
    spec = all_models()[name].SPEC
    measured = json.loads(spec.file.with_suffix(".json").read_text())["measured"]
    assert measured["digest"] == spec.digest
    assert measured["auroc_mean"] >= 0.93
    assert measured["ece"] <= 0.03
    assert spec.file.stat().st_size <= 2_000_000
    assert {tensor.name for tensor in spec.outputs} == {"logits", "cam", "embedding", "input_stats"}
