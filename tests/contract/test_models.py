"""Every model keeps the contract of `inference/catalogue.py`, whoever wrote it: the folder is walked."""

from __future__ import annotations

import numpy as np
import pytest

from inference.backend import canary
from inference.catalogue import Model, all_models
from inference.in_process import InProcess
from inference.pixels import Geometry
from inference.spec import NotAcceptableError


@pytest.fixture(params=sorted(all_models()))
def model(request: pytest.FixtureRequest) -> Model:
    return all_models()[request.param]


@pytest.mark.parametrize("name", sorted(all_models()))
def test_its_name_is_its_file_s(name: str) -> None:
    assert all_models()[name].SPEC.name == name


def test_its_specification_is_complete(model: Model) -> None:
    spec = model.SPEC
    assert spec.version >= 1
    assert spec.weights()
    assert spec.calibration_version
    assert spec.intended_use.endswith(".")
    assert spec.licence
    assert spec.modalities
    assert spec.body_parts
    assert spec.max_batch_size >= 1
    assert {tensor.name for tensor in spec.inputs} == {"image"}
    assert {"logits", "cam"} <= {tensor.name for tensor in spec.outputs}
    assert len(spec.golden_logits) == len(spec.labels)


def test_every_label_is_coded_and_has_an_operating_point(model: Model) -> None:
    names = [label.name for label in model.SPEC.labels]
    assert names
    assert len(set(names)) == len(names)
    for label in model.SPEC.labels:
        assert 0 < label.threshold < 1
        assert label.temperature > 0
        assert label.code.value
        assert label.code.scheme
        assert label.code.meaning
        assert label.code.verified == (label.code.scheme != "99RADSTREAM")


@pytest.mark.parametrize("data", [b"", b"no DICOM at all", bytes(128) + b"DICM"])
def test_what_is_no_image_is_refused_with_a_reason(model: Model, data: bytes) -> None:
    with pytest.raises(NotAcceptableError) as refused:
        model.preprocess(data)
    assert refused.value.reason


def test_each_label_is_answered_once_in_order(model: Model) -> None:
    outputs = {tensor.name: np.zeros(tensor.dims, np.float32) for tensor in model.SPEC.outputs}
    side = model.SPEC.inputs[0].dims[-1]
    geometry = Geometry(rows=side, columns=side, side=side, scale=1.0, left=0, top=0)
    found = model.postprocess(outputs, geometry)
    assert [finding.label for finding in found] == [label.name for label in model.SPEC.labels]


async def test_its_weights_give_the_outputs_written_down_for_the_golden_image(model: Model) -> None:
    assert await canary(InProcess(), model.SPEC)
