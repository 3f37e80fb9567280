"""Write the ONNX graph of the demonstration network node by node: raw integers in, logits and map out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from inference.golden import GOLDEN_SEED, golden_image

__all__ = ["GOLDEN_SEED", "GraphWriter", "golden_image"]

OPSET, IR_VERSION = 17, 9
"""What ONNX Runtime since 1.15 and Triton's backends since 23.08 read."""

Array = NDArray[np.float32]


class GraphWriter:
    """Collects nodes; each method adds some and returns the name of the value they make."""

    def __init__(self, side: int) -> None:
        self._side = side
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []

    def _node(self, kind: str, *inputs: str, name: str | None = None, **attributes: object) -> str:
        result = name or f"v{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [result], **attributes))
        return result

    def _constant(self, value: NDArray[np.generic]) -> str:
        name = f"w{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def normalised_input(self) -> str:
        """Each image less its mean, over its deviation plus one grey step: no client can get this wrong."""
        real = self._node("Cast", "image", to=TensorProto.FLOAT)
        centred = self._node("Sub", real, self._node("ReduceMean", real, axes=[2, 3], keepdims=1))
        variance = self._node("ReduceMean", self._node("Mul", centred, centred), axes=[2, 3], keepdims=1)
        one = self._constant(np.array(1.0, dtype=np.float32))
        return self._node("Div", centred, self._node("Add", self._node("Sqrt", variance), one))

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
            "Resize",
            x,
            "",
            scales,
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )

    def finish(self, path: Path, x: str, head: tuple[Array, Array], sharpness: Array, *, cells: int) -> None:
        """Add the head (map, then soft maximum over it) and save."""
        self._node(
            "Conv", x, self._constant(head[0]), self._constant(head[1]), name="cam", kernel_shape=[1, 1]
        )
        sharp = self._constant(sharpness.reshape(1, -1, 1, 1).astype(np.float32))
        pooled = self._node("ReduceLogSumExp", self._node("Mul", "cam", sharp), axes=[2, 3], keepdims=0)
        mean = self._node("Sub", pooled, self._constant(np.array(np.log(cells * cells), dtype=np.float32)))
        self._node("Div", mean, self._constant(sharpness.reshape(1, -1).astype(np.float32)), name="logits")
        labels = len(sharpness)
        graph = helper.make_graph(
            self._nodes, "cxr_demo",
            [helper.make_tensor_value_info("image", TensorProto.UINT16, ["n", 1, self._side, self._side])],
            [
                helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", labels]),
                helper.make_tensor_value_info("cam", TensorProto.FLOAT, ["n", labels, cells, cells]),
            ],
            self._weights,
        )  # fmt: skip
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="radstream",
        )
        onnx.checker.check_model(model, full_check=True)
        path.write_bytes(model.SerializeToString())
