from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
from google.protobuf import text_format  # type: ignore[import-untyped]  # a test alone does not earn its stubs
from tritonclient.grpc import model_config_pb2 as pb
from tritonclient.utils import np_to_triton_dtype

from inference.catalogue import all_models
from inference.repository import configuration, render

TYPES = {
    pb.TYPE_UINT8: "tensor(uint8)",
    pb.TYPE_UINT16: "tensor(uint16)",
    pb.TYPE_INT16: "tensor(int16)",
    pb.TYPE_FP32: "tensor(float)",
}


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


def test_a_single_copy_is_served_without_the_batcher_that_would_let_it_wait(spec, tmp_path):
    render([spec], tmp_path, instances=1)

    text = (tmp_path / spec.name / "config.pbtxt").read_text()
    assert not text_format.Parse(text, pb.ModelConfig()).HasField("dynamic_batching")


def test_the_server_can_say_which_weights_it_runs(spec, rendered, config):
    data = (rendered / str(spec.version) / "model.onnx").read_bytes()

    assert config.parameters["weights_sha256"].string_value == hashlib.sha256(data).hexdigest() == spec.digest
    assert config.parameters["demonstration"].string_value == str(spec.demonstration).lower()


RUNTIMES = {"shim": "python", "cpu": "onnxruntime", "gpu": "onnxruntime", "tensorrt": "onnxruntime"}


@pytest.mark.parametrize("target", sorted(RUNTIMES))
def test_each_target_is_told_how_to_run_the_same_graph(spec, tmp_path, target):
    render([spec], tmp_path, target=target)
    folder = tmp_path / spec.name

    config = text_format.Parse((folder / "config.pbtxt").read_text(), pb.ModelConfig())

    group = config.instance_group[0]
    accelerators = config.optimization.execution_accelerators.gpu_execution_accelerator
    assert config.backend == RUNTIMES[target]
    assert group.kind == (group.KIND_GPU if target in {"gpu", "tensorrt"} else group.KIND_CPU)
    assert [each.name for each in accelerators] == (["tensorrt"] if target == "tensorrt" else [])
    assert (target != "tensorrt") or accelerators[0].parameters["trt_engine_cache_enable"] == "true"
    assert (folder / str(spec.version) / "model.py").exists() == (target == "shim")
    assert {t.name for t in config.input} == {t.name for t in spec.inputs}


def test_the_model_is_warm_before_it_is_ready(spec, config):
    assert [warm.batch_size for warm in config.model_warmup] == [1, spec.max_batch_size]
    for warm in config.model_warmup:
        assert {name: list(value.dims) for name, value in warm.inputs.items()} == {
            t.name: list(t.dims) for t in spec.inputs
        }


def test_urgent_requests_wait_where_others_are_refused(config):
    urgent = config.dynamic_batching.priority_queue_policy[1]
    others = config.dynamic_batching.default_queue_policy

    assert urgent.max_queue_size > others.max_queue_size
    assert (urgent.timeout_action, others.timeout_action) == (urgent.DELAY, others.REJECT)


def test_versions_of_one_model_are_served_together(spec, tmp_path):
    newer = replace(spec, version=spec.version + 1)
    render([newer, spec], tmp_path)

    config = text_format.Parse((tmp_path / spec.name / "config.pbtxt").read_text(), pb.ModelConfig())

    assert list(config.version_policy.specific.versions) == [spec.version, newer.version]
    assert (
        sorted(path.parent.name for path in tmp_path.glob("*/*/model.onnx")) == ["1", "2"] or spec.version > 1
    )


def test_the_shim_needs_nothing_of_this_project(rendered):
    shim = next(rendered.glob("*/model.py")).read_text()

    assert "from inference" not in shim
    assert "import inference" not in shim
    compile(shim, "model.py", "exec")


def test_the_pooled_map_is_the_logit_of_every_label(spec, rendered):
    graph = onnxruntime.InferenceSession(str(next(rendered.glob("*/model.onnx"))))
    noise = np.random.default_rng(3).integers(0, 255, (2, *spec.inputs[0].dims))
    image = noise.astype(spec.inputs[0].dtype)

    logits, cam = graph.run(["logits", "cam"], {"image": image})

    assert np.all(logits <= cam.max(axis=(2, 3)) + 1e-4)
    assert np.all(logits >= cam.mean(axis=(2, 3)) - 1e-4)


@pytest.mark.parametrize(
    "name", ["input:0", 'a "quoted" one', "back\\slash", "line\nbreak", "größe/1", "tab\tand\x01"]
)
def test_a_tensor_keeps_whatever_name_its_graph_gives_it(spec, name):
    (image,), odd = spec.inputs, tuple(replace(each, name=f"{name} {each.name}") for each in spec.outputs)

    text = configuration(replace(spec, inputs=(replace(image, name=name),), outputs=odd))

    config = text_format.Parse(text, pb.ModelConfig())
    assert [t.name for t in config.input] == [name]
    assert [t.name for t in config.output] == [t.name for t in odd]
    assert [list(warm.inputs) for warm in config.model_warmup] == [[name], [name]]


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../elsewhere", "a/b", "a\\b", 'we"ird', "line\nbreak", "nul\0"]
)
def test_a_model_whose_name_is_none_of_a_folder_is_refused_before_anything_is_written(spec, tmp_path, name):
    with pytest.raises(ValueError, match="name"):
        render([replace(spec, name=name)], tmp_path / "repository")

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "int32", "int64", "uint8", "uint32", "uint64", "float16", "float64"]
)
def test_every_type_of_number_has_the_server_s_name(spec, dtype):
    config = configuration(replace(spec, inputs=(replace(spec.inputs[0], dtype=dtype),)))

    declared = text_format.Parse(config, pb.ModelConfig()).input[0].data_type
    assert np_to_triton_dtype(np.dtype(dtype)) == pb.DataType.Name(declared).removeprefix("TYPE_")
