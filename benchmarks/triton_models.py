"""Networks of a given cost: a few layers that shrink the picture, then as many as take the wanted time on one thread."""

from __future__ import annotations

import time
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from inference.models.cxr_demo import SPEC
from inference.spec import ModelSpec, TensorSpec

CHANNELS, SHRUNK, LABELS = 32, 28, 5
OPSET, IR_VERSION = 17, 9
"""What ONNX Runtime since 1.15 reads."""
FEW, MANY = 2, 42
"""Layers of the two networks that tell what a layer costs."""
TRIALS = 40
TIMES = 3
"""Each is measured so often, and the median counts: what else the machine does at one moment made a network a fifth cheaper."""


def graph(side: int, layers: int) -> bytes:
    """An ONNX file: uint16 (n, 1, side, side) to float32 logits (n, 5), through ``layers`` convolutions of 32 channels."""
    rng = np.random.default_rng(layers)
    weights: list[onnx.TensorProto] = []

    def weight(name: str, *shape: int) -> str:
        value = rng.normal(0, 1 / np.sqrt(np.prod(shape[1:]) or 1), shape).astype(np.float32)
        weights.append(numpy_helper.from_array(value, name))
        return name

    step = side // SHRUNK
    nodes = [
        helper.make_node("Cast", ["image"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["real", "scale"], ["scaled"]),
        helper.make_node("AveragePool", ["scaled"], ["pooled"], kernel_shape=[step // 2] * 2, strides=[step // 2] * 2),
        helper.make_node("Conv", ["pooled", weight("w", CHANNELS, 1, 3, 3)], ["x0"], strides=[2, 2], pads=[1] * 4),
    ]  # fmt: skip
    weights.append(numpy_helper.from_array(np.array(1 / 65535, np.float32), "scale"))
    for i in range(layers):
        inputs = [f"x{i}", weight(f"w{i}", CHANNELS, CHANNELS, 3, 3)]
        nodes.append(helper.make_node("Conv", inputs, [f"c{i}"], pads=[1] * 4))
        nodes.append(helper.make_node("Relu", [f"c{i}"], [f"x{i + 1}"]))
    nodes += [
        helper.make_node("ReduceMean", [f"x{layers}"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["mean", weight("head", CHANNELS, LABELS)], ["logits"]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT16, ["n", 1, side, side])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", LABELS])
    made = helper.make_model(
        helper.make_graph(nodes, "benchmark", [image], [logits], weights),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    return bytes(made.SerializeToString())


def session(data: bytes) -> onnxruntime.InferenceSession:
    """One thread, as the server's copies have."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def images(side: int, count: int) -> NDArray[np.uint16]:
    """Noise of 16 bits."""
    return np.random.default_rng(side).integers(0, 65535, (count, 1, side, side), dtype=np.uint16)


def milliseconds(data: bytes, side: int) -> float:
    """Processor time per image, alone; the median of some."""
    ready, image = session(data), images(side, 1)
    costs = []
    for _ in range(TRIALS):
        began = time.process_time()
        ready.run(None, {"image": image})
        costs.append(time.process_time() - began)
    return float(np.median(costs)) * 1000


def layers_for(side: int, wanted_ms: float) -> int:
    """Layers with which an image takes about ``wanted_ms`` on this machine."""
    few, many = (
        np.median([milliseconds(graph(side, layers), side) for _ in range(TIMES)]) for layers in (FEW, MANY)
    )
    return max(1, round(FEW + (wanted_ms - few) * (MANY - FEW) / (many - few)))


def model(folder: Path, side: int, wanted_ms: float) -> ModelSpec:
    """Write a network of that cost to ``folder`` and describe it."""
    data = graph(side, layers_for(side, wanted_ms))
    name = f"benchmark_{side}_{wanted_ms:g}ms"
    file = folder / f"{name}.onnx"
    file.write_bytes(data)
    return ModelSpec(
        name=name, version=1, file=file, sha256=sha256(data).hexdigest(),
        inputs=(TensorSpec("image", "uint16", (1, side, side), "chw"),),
        outputs=(TensorSpec("logits", "float32", (LABELS,), "l"),),
        labels=SPEC.labels, calibration_version="none", max_batch_size=16, demonstration=True,
        intended_use="a benchmark", licence="none", modalities=frozenset(), body_parts=frozenset(), views=frozenset(),
        minimum_age_years=0, golden_logits=(),
    )  # fmt: skip
