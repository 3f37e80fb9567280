"""Write the ONNX graph of a demonstration network node by node: raw integers in; logits, map, embedding and statistics out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


class OpenGraph:
    """A graph that is being written: raw integers ``image`` come in; each method adds nodes and returns a value's name."""

    def __init__(self, name: str, *, side: int, dtype: str, channels: int) -> None:
        self._name, self._side, self._dtype, self._channels = name, side, dtype, channels
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []
        self.real = self.node("Cast", "image", to=TensorProto.FLOAT)

    def node(self, kind: str, *inputs: str, name: str | None = None, **attributes: object) -> str:
        """Add a node."""
        result = name or f"v{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [result], **attributes))
        return result

    def constant(self, value: NDArray[np.generic] | float | list[int]) -> str:
        """Add a weight; a number is float32, a list int64."""
        name = f"w{len(self._weights)}"
        if isinstance(value, float):
            value = np.array(value, dtype=np.float32)
        if isinstance(value, list):
            value = np.array(value, dtype=np.int64)
        self._weights.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def mean(self, x: str, *, keep: bool = True) -> str:
        """Mean over height and width."""
        return self.node("ReduceMean", x, axes=[2, 3], keepdims=int(keep))

    def relu(self, x: str) -> str:
        """Nothing below 0."""
        return self.node("Relu", x)

    def conv(self, x: str, layer: Any) -> str:
        """A torch convolution."""
        inputs = [x, self.constant(layer.weight.detach().numpy())]
        if layer.bias is not None:
            inputs.append(self.constant(layer.bias.detach().numpy()))
        down, across = layer.padding
        return self.node(
            "Conv", *inputs, strides=list(layer.stride), pads=[down, across] * 2, group=layer.groups,
            kernel_shape=list(layer.kernel_size),
        )  # fmt: skip

    def norm(self, x: str, layer: Any) -> str:
        """A torch batch norm as it is after training."""
        parts = (layer.weight, layer.bias, layer.running_mean, layer.running_var)
        told = (self.constant(each.detach().numpy()) for each in parts)
        return self.node("BatchNormalization", x, *told, epsilon=layer.eps)

    def windows(self, spans: tuple[tuple[float, float], ...]) -> str:
        """One channel per window of Hounsfield units, each 0..1."""
        shown = []
        for low, high in spans:
            moved = self.node("Sub", self.real, self.constant(low))
            scaled = self.node("Mul", moved, self.constant(1 / (high - low)))
            shown.append(self.node("Clip", scaled, self.constant(0.0), self.constant(1.0)))
        return self.node("Concat", *shown, axis=1)

    def affine(self, x: str, scale: float | Array, shift: float | Array) -> str:
        """``x * scale + shift``, by channel where they are arrays."""
        return self.node("Add", self.node("Mul", x, self.constant(scale)), self.constant(shift))

    def statistics(self) -> None:
        """``input_stats`` of the raw numbers, over all channels."""
        flat = self.node("Reshape", self.real, self.constant([0, 1, -1, self._side]))
        mean = self.mean(flat)
        off = self.node("Sub", flat, mean)
        square = self.node("Mul", off, off)
        deviation = self.node("Sqrt", self.mean(square))
        cube = self.mean(self.node("Mul", square, off))
        cubed = self.node("Mul", self.node("Mul", deviation, deviation), deviation)
        skewness = self.node("Div", cube, self.node("Add", cubed, self.constant(1e-6)))
        last, first, end, axis = (self.constant([v]) for v in (-1, 0, 1 << 31, 3))
        ahead = self.node("Slice", flat, self.constant([1]), end, axis)
        behind = self.node("Slice", flat, first, last, axis)
        step = self.mean(self.node("Abs", self.node("Sub", ahead, behind)))
        told = self.node("Concat", mean, deviation, step, skewness, axis=1)
        self.node("Reshape", told, self.constant([0, STATISTICS]), name="input_stats")

    def save(self, path: Path, *, labels: int, cells: int, width: int) -> None:
        """Check the graph and write it; the four outputs must have been named."""
        dims = {
            "logits": ["n", labels], "cam": ["n", labels, cells, cells], "embedding": ["n", width],
            "input_stats": ["n", STATISTICS],
        }  # fmt: skip
        shape = ["n", self._channels, self._side, self._side]
        graph = helper.make_graph(
            self._nodes, self._name,
            [helper.make_tensor_value_info("image", DTYPES[self._dtype], shape)],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, each) for name, each in dims.items()],
            self._weights,
        )  # fmt: skip
        opset = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(
            graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="radstream"
        )
        onnx.checker.check_model(model, full_check=True)
        path.write_bytes(model.SerializeToString())


@dataclass(frozen=True)
class Normalisation:
    """From raw integers to what an imported network was trained on: windows of Hounsfield units, then scale and shift."""

    scale: float | tuple[float, ...]
    shift: float | tuple[float, ...]
    spans: tuple[tuple[float, float], ...] = ()
    inputs: int = 1
    """Channels of the raw image."""
    repeated: int = 1
    """How often one gray channel is repeated for a network that was trained on colour."""

    def emit(self, graph: OpenGraph) -> str:
        """The first layer's input."""
        x = graph.windows(self.spans) if self.spans else graph.real
        if self.repeated > 1:
            x = graph.node("Concat", *[x] * self.repeated, axis=1)
        scale, shift = (
            v if isinstance(v, float) else np.array(v, dtype=np.float32).reshape(1, -1, 1, 1)
            for v in (self.scale, self.shift)
        )
        return graph.affine(x, scale, shift)


class GraphWriter(OpenGraph):
    """The graph of a network that this project trains."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe.name, side=recipe.side, dtype=recipe.dtype, channels=recipe.channels)
        self._recipe = recipe

    def normalised_input(self) -> str:
        """What the first layer sees, by the kind of the numbers: no client can get this wrong."""
        values = self._recipe.values
        if values == "hounsfield":
            return self.windows(WINDOWS)
        if values == "colour":
            return self.affine(self.real, 1 / 255, -0.5)
        centred = self.node("Sub", self.real, self.mean(self.real))
        variance = self.mean(self.node("Mul", centred, centred))
        return self.node("Div", centred, self.node("Add", self.node("Sqrt", variance), self.constant(1.0)))

    def convolution(self, x: str, weight: Array, bias: Array, *, stride: int) -> str:
        """Convolution with its batch norm folded in, then ReLU."""
        pad = weight.shape[2] // 2
        made = self.node(
            "Conv", x, self.constant(weight), self.constant(bias),
            strides=[stride, stride], pads=[pad] * 4, kernel_shape=list(weight.shape[2:]),
        )  # fmt: skip
        return self.relu(made)

    def add(self, left: str, right: str) -> str:
        """Elementwise sum."""
        return self.node("Add", left, right)

    def twice_as_large(self, x: str) -> str:
        """Each cell repeated in both directions."""
        scales = self.constant(np.array([1, 1, 2, 2], dtype=np.float32))
        return self.node(
            "Resize", x, "", scales,
            mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor",
        )  # fmt: skip

    def finish(self, path: Path, x: str, head: tuple[Array, Array], sharpness: Array, *, width: int) -> None:
        """Add the head (map, then soft maximum over it), embedding and statistics, and save."""
        cells = self._recipe.cells
        self.node("Conv", x, self.constant(head[0]), self.constant(head[1]), name="cam", kernel_shape=[1, 1])
        sharp = self.constant(sharpness.reshape(1, -1, 1, 1).astype(np.float32))
        pooled = self.node("ReduceLogSumExp", self.node("Mul", "cam", sharp), axes=[2, 3], keepdims=0)
        mean = self.node("Sub", pooled, self.constant(float(np.log(cells * cells))))
        self.node("Div", mean, self.constant(sharpness.reshape(1, -1).astype(np.float32)), name="logits")
        self.node("ReduceMean", x, name="embedding", axes=[2, 3], keepdims=0)
        self.statistics()
        self.save(path, labels=len(sharpness), cells=cells, width=width)
