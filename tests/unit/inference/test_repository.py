from __future__ import annotations

import hashlib

import numpy as np
import onnxruntime
import pytest
from google.protobuf import text_format  # type: ignore[import-untyped]  # a test alone does not earn its stubs
from tritonclient.grpc import model_config_pb2 as pb

from inference.catalogue import all_models
from inference.repository import render

TYPES = {pb.TYPE_UINT8: "tensor(uint8)", pb.TYPE_UINT16: "tensor(uint16)", pb.TYPE_FP32: "tensor(float)"}


@pytest.fixture(params=sorted(all_models()))
def spec(request):
    return all_models()[request.param].SPEC


@pytest.fixture
def rendered(spec, tmp_path):
    render([spec], tmp_path, instances=3)
    return tmp_path / spec.name


@pytest.fixture
def config(rendered):
    return text_format.Parse((rendered / "config.pbtxt").read_text(), pb.ModelConfig())


def test_the_configuration_says_what_the_graph_is(spec, rendered, config):
    graph = onnxruntime.InferenceSession(str(rendered / str(spec.version) / "model.onnx"))

    declared = {t.name: (TYPES[t.data_type], list(t.dims)) for t in (*config.input, *config.output)}
    found = {t.name: (t.type, t.shape[1:]) for t in (*graph.get_inputs(), *graph.get_outputs())}
    assert declared == found
    assert all(not isinstance(t.shape[0], int) for t in graph.get_inputs()), "the batch axis is free"


def test_the_configuration_batches_by_priority(spec, config):
    assert (config.name, config.backend, config.max_batch_size) == (spec.name, "python", spec.max_batch_size)
    assert config.instance_group[0].count == 3
    assert config.dynamic_batching.priority_levels == 2
    assert config.dynamic_batching.default_priority_level == 2
    assert list(config.version_policy.specific.versions) == [spec.version]


def test_the_server_can_say_which_weights_it_runs(spec, rendered, config):
    data = (rendered / str(spec.version) / "model.onnx").read_bytes()

    assert config.parameters["weights_sha256"].string_value == hashlib.sha256(data).hexdigest() == spec.digest
    assert config.parameters["demonstration"].string_value == str(spec.demonstration).lower()


def test_the_shim_needs_nothing_of_this_project(rendered):
    shim = next(rendered.glob("*/model.py")).read_text()

    assert "from inference" not in shim
    assert "import inference" not in shim
    compile(shim, "model.py", "exec")


def test_the_pooled_map_is_the_logit_of_every_label(spec, rendered):
    graph = onnxruntime.InferenceSession(str(next(rendered.glob("*/model.onnx"))))
    image = np.random.default_rng(3).integers(0, 65535, (2, *spec.inputs[0].dims), dtype=np.uint16)

    logits, cam = graph.run(["logits", "cam"], {"image": image})

    assert np.all(logits <= cam.max(axis=(2, 3)) + 1e-4)
    assert np.all(logits >= cam.mean(axis=(2, 3)) - 1e-4)
