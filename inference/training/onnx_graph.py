"""Write the ONNX graph of a demonstration network node by node: raw integers in; logits, map, embedding and statistics out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from inference.training.recipe import Recipe

OPSET, IR_VERSION = 17, 9
"""What ONNX Runtime since 1.15 and Triton's backends since 23.08 read."""
WINDOWS = ((0.0, 80.0), (-20.0, 180.0), (-800.0, 2000.0))
"""Hounsfield units that a head CT's three channels span: brain (level 40, width 80), blood (80, 200) and bone (600, 2800)."""
STATISTICS = 4
"""Mean, deviation, mean step between neighbours, skewness: what drift shows in first."""

Array = NDArray[np.float32]
DTYPES = {"uint8": TensorProto.UINT8, "uint16": TensorProto.UINT16, "int16": TensorProto.INT16}


class GraphWriter:
    """Collects nodes; each method adds some and returns the name of the value they make."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []
        self._real = self._node("Cast", "image", to=TensorProto.FLOAT)

    def _node(self, kind: str, *inputs: str, name: str | None = None, **attributes: object) -> str:
        result = name or f"v{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [result], **attributes))
        return result

    def _constant(self, value: NDArray[np.generic] | float | list[int]) -> str:
        name = f"w{len(self._weights)}"
        if isinstance(value, float):
            value = np.array(value, dtype=np.float32)
        if isinstance(value, list):
            value = np.array(value, dtype=np.int64)
        self._weights.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def _mean(self, x: str, *, keep: bool) -> str:
        return self._node("ReduceMean", x, axes=[2, 3], keepdims=int(keep))

    def normalised_input(self) -> str:
        """What the first layer sees, by the kind of the numbers: no client can get this wrong."""
        values = self._recipe.values
        if values == "hounsfield":
            shown = []
            for low, high in WINDOWS:
                moved = self._node("Sub", self._real, self._constant(low))
                scaled = self._node("Mul", moved, self._constant(1 / (high - low)))
                shown.append(self._node("Clip", scaled, self._constant(0.0), self._constant(1.0)))
            return self._node("Concat", *shown, axis=1)
        if values == "colour":
            return self._node("Sub", self._node("Mul", self._real, self._constant(1 / 255)), self._constant(0.5))
        centred = self._node("Sub", self._real, self._mean(self._real, keep=True))
        variance = self._mean(self._node("Mul", centred, centred), keep=True)
        return self._node("Div", centred, self._node("Add", self._node("Sqrt", variance), self._constant(1.0)))

    def convolution(self, x: str, weight: Array, bias: Array, *, stride: int) -> str:
        """Convolution with its batch norm folded in, then ReLU."""
        pad = weight.shape[2] // 2
        made = self._node(
            "Conv", x, self._constant(weight), self._constant(bias),
            strides=[stride, stride], pads=[pad] * 4, kernel_shape=list(weight.shape[2:]),
        )  # fmt: skip
        return self._node("Relu", made)

    def add(self, left: str, right: str) -> str:
        """Elementwise sum."""
        return self._node("Add", left, right)

    def twice_as_large(self, x: str) -> str:
        """Each cell repeated in both directions."""
        scales = self._constant(np.array([1, 1, 2, 2], dtype=np.float32))
        return self._node(
            "Resize", x, "", scales,
            mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor",
        )  # fmt: skip

    def _statistics(self) -> None:
        """``input_stats`` of the raw numbers, over all channels."""
        flat = self._node("Reshape", self._real, self._constant([0, 1, -1, self._recipe.side]))
        mean = self._mean(flat, keep=True)
        off = self._node("Sub", flat, mean)
        square = self._node("Mul", off, off)
        deviation = self._node("Sqrt", self._mean(square, keep=True))
        cube = self._mean(self._node("Mul", square, off), keep=True)
        cubed = self._node("Mul", self._node("Mul", deviation, deviation), deviation)
        skewness = self._node("Div", cube, self._node("Add", cubed, self._constant(1e-6)))
        last, first, end, axis = (self._constant([v]) for v in (-1, 0, 1 << 31, 3))
        ahead = self._node("Slice", flat, self._constant([1]), end, axis)
        behind = self._node("Slice", flat, first, last, axis)
        step = self._mean(self._node("Abs", self._node("Sub", ahead, behind)), keep=True)
        told = self._node("Concat", mean, deviation, step, skewness, axis=1)
        self._node("Reshape", told, self._constant([0, STATISTICS]), name="input_stats")

    def finish(self, path: Path, x: str, head: tuple[Array, Array], sharpness: Array, *, width: int) -> None:
        """Add the head (map, then soft maximum over it), embedding and statistics, and save."""
        recipe, cells = self._recipe, self._recipe.cells
        self._node("Conv", x, self._constant(head[0]), self._constant(head[1]), name="cam", kernel_shape=[1, 1])
        sharp = self._constant(sharpness.reshape(1, -1, 1, 1).astype(np.float32))
        pooled = self._node("ReduceLogSumExp", self._node("Mul", "cam", sharp), axes=[2, 3], keepdims=0)
        mean = self._node("Sub", pooled, self._constant(float(np.log(cells * cells))))
        self._node("Div", mean, self._constant(sharpness.reshape(1, -1).astype(np.float32)), name="logits")
        self._node("ReduceMean", x, name="embedding", axes=[2, 3], keepdims=0)
        self._statistics()
        labels = len(sharpness)
        dims = {
            "logits": ["n", labels], "cam": ["n", labels, cells, cells], "embedding": ["n", width],
            "input_stats": ["n", STATISTICS],
        }  # fmt: skip
        shape = ["n", recipe.channels, recipe.side, recipe.side]
        graph = helper.make_graph(
            self._nodes, recipe.name,
            [helper.make_tensor_value_info("image", DTYPES[recipe.dtype], shape)],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, each) for name, each in dims.items()],
            self._weights,
        )  # fmt: skip
        opset = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="radstream")
        onnx.checker.check_model(model, full_check=True)
        path.write_bytes(model.SerializeToString())
