"""Start from a ResNet's weights as torchvision saves them: transfer learning. Needs torch.

Any depth and width is read from the shapes in the file (ResNet-18 to -152, ResNeXt apart). The map's grid is the second stage's;
the third stage gives it a wider view. The later stages are not used: the findings here are smaller than what they see.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from inference.training.network import Block, normalised
from inference.training.onnx_graph import WINDOWS, GraphWriter
from inference.training.recipe import Recipe

WIDTH = 48
"""Channels that both stages are brought to before they are joined: those of the embedding."""
STRIDES = {1: 1, 2: 2, 3: 2}


class Unit(nn.Module):  # type: ignore[misc]  # torch is not where the types are checked
    """Two or three convolutions and a way round them, under torchvision's names."""

    def __init__(self, shapes: list[tuple[int, ...]], stride: int, *, projected: bool) -> None:
        super().__init__()
        strided = 0 if len(shapes) == 2 else 1
        for i, (outputs, inputs, kernel, _) in enumerate(shapes):
            step = stride if i == strided else 1
            setattr(self, f"conv{i + 1}", nn.Conv2d(inputs, outputs, kernel, step, kernel // 2, bias=False))
            setattr(self, f"bn{i + 1}", nn.BatchNorm2d(outputs))
        self.count = len(shapes)
        if projected:
            path = nn.Conv2d(shapes[0][1], shapes[-1][0], 1, stride, bias=False)
            self.downsample = nn.Sequential(path, nn.BatchNorm2d(shapes[-1][0]))
        else:
            self.downsample = None

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to (n, c', h / stride, w / stride)."""
        made = x
        for i in range(1, self.count + 1):
            made = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(made))
            made = functional.relu(made) if i < self.count else made
        return functional.relu(made + (x if self.downsample is None else self.downsample(x)))


class Transferred(nn.Module):  # type: ignore[misc]  # torch is not where the types are checked
    """The backbone's first three stages, and the same head as :class:`inference.training.network.Network` has."""

    def __init__(self, recipe: Recipe, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.recipe = recipe
        inputs = len(WINDOWS) if recipe.values == "hounsfield" else recipe.channels
        stem = state["conv1.weight"].shape
        self.conv1 = nn.Conv2d(inputs, stem[0], stem[2], 2, stem[2] // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(stem[0])
        for stage in STRIDES:
            setattr(self, f"layer{stage}", _stage(state, stage))
        self.load_state_dict(_fitted(self.state_dict(), state, inputs), strict=False)
        widths = [list(getattr(self, f"layer{i}"))[-1] for i in (2, 3)]
        near, far = (getattr(unit, f"conv{unit.count}").out_channels for unit in widths)
        self.near, self.far, self.join = Block(near, WIDTH, 1), Block(far, WIDTH, 1), Block(WIDTH, WIDTH)
        self.head = nn.Conv2d(WIDTH, len(recipe.labels), 1)
        self.sharpness = nn.Parameter(torch.ones(len(recipe.labels)))

    def borrowed(self) -> list[nn.Parameter]:
        """Parameters that came from the file: held still at first."""
        names = ("conv1.", "bn1.", "layer")
        return [value for name, value in self.named_parameters() if name.startswith(names)]

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """As :meth:`inference.training.network.Network.forward`."""
        x = functional.relu(self.bn1(self.conv1(normalised(image, self.recipe.values))))
        x = self.layer1(functional.max_pool2d(x, 3, 2, 1))
        near = self.layer2(x)
        wide = functional.interpolate(self.far(self.layer3(near)), scale_factor=2.0, mode="nearest")
        cam = self.head(self.join(self.near(near) + wide)).float()
        sharp = functional.softplus(self.sharpness)[None, :, None, None]
        pooled = torch.logsumexp(cam * sharp, dim=(2, 3)) - float(np.log(self.recipe.cells**2))
        return pooled / sharp[:, :, 0, 0], cam

    def pooling(self) -> list[float]:
        """Sharpness of each label's soft maximum."""
        return [float(v) for v in functional.softplus(self.sharpness).detach()]

    def write(self, path: Path) -> None:
        """Write the network as ONNX."""
        writer = GraphWriter(self.recipe)
        x = writer.relu(writer.norm(writer.conv(writer.normalised_input(), self.conv1), self.bn1))
        x = writer.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
        near = _emit_stage(writer, _emit_stage(writer, x, self.layer1), self.layer2)
        far = _emit_stage(writer, near, self.layer3)
        wide = writer.twice_as_large(_emit_block(writer, far, self.far))
        joined = _emit_block(writer, writer.add(_emit_block(writer, near, self.near), wide), self.join)
        head = self.head.weight.detach().numpy(), self.head.bias.detach().numpy()
        writer.finish(path, joined, head, np.array(self.pooling(), dtype=np.float32), width=WIDTH)


def loaded(recipe: Recipe, file: Path) -> Transferred:
    """The network that starts from ``file``; ``ValueError`` where its weights are not a ResNet's."""
    state = torch.load(file, map_location="cpu", weights_only=True)
    state = {key.removeprefix("module."): value for key, value in state.items()}
    if "conv1.weight" not in state or "layer3.0.conv1.weight" not in state:
        raise ValueError(f"{file.name} does not hold the weights of a ResNet as torchvision names them")
    return Transferred(recipe, state)


def _stage(state: Mapping[str, Tensor], stage: int) -> nn.Sequential:
    """One stage, of the units that the file has."""
    units: dict[int, dict[int, tuple[int, ...]]] = {}
    for name, value in state.items():
        if found := re.fullmatch(rf"layer{stage}\.(\d+)\.conv(\d)\.weight", name):
            units.setdefault(int(found[1]), {})[int(found[2])] = tuple(value.shape)
    made = []
    for i in sorted(units):
        projected = f"layer{stage}.{i}.downsample.0.weight" in state
        shapes = [units[i][k] for k in sorted(units[i])]
        made.append(Unit(shapes, STRIDES[stage] if i == 0 else 1, projected=projected))
    return nn.Sequential(*made)


def _fitted(own: Mapping[str, Tensor], state: Mapping[str, Tensor], inputs: int) -> dict[str, Tensor]:
    """The file's weights that have a place here; a stem for colour becomes one for gray by summing its channels."""
    kept = {name: value for name, value in state.items() if name in own}
    stem = kept["conv1.weight"]
    if stem.shape[1] != inputs:
        kept["conv1.weight"] = stem.sum(dim=1, keepdim=True).repeat(1, inputs, 1, 1) / inputs
    return kept


def _emit_stage(writer: GraphWriter, x: str, stage: nn.Sequential) -> str:
    for unit in stage:
        made = x
        for i in range(1, unit.count + 1):
            made = writer.norm(writer.conv(made, getattr(unit, f"conv{i}")), getattr(unit, f"bn{i}"))
            made = writer.relu(made) if i < unit.count else made
        if unit.downsample is not None:
            x = writer.norm(writer.conv(x, unit.downsample[0]), unit.downsample[1])
        x = writer.relu(writer.add(made, x))
    return x


def _emit_block(writer: GraphWriter, x: str, block: Block) -> str:
    return writer.relu(writer.norm(writer.conv(x, block.conv), block.norm))
