"""The small residual network that every demonstration model is. Needs torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from inference.training.onnx_graph import WINDOWS, GraphWriter
from inference.training.recipe import Recipe

WIDTHS = (12, 24, 48, 80)
"""Channels at a half, a quarter, an eighth (the map's grid) and a sixteenth of the side."""


class Block(nn.Module):  # type: ignore[misc]  # torch is not where the types are checked
    """Convolution, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) to (n, outputs, h / stride, w / stride)."""
        return functional.relu(self.norm(self.conv(x)))


class Residual(nn.Module):  # type: ignore[misc]  # torch is not where the types are checked
    """Two blocks and a way round them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = Block(width, width), Block(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape out as in."""
        return x + self.second(self.first(x))


def normalised(image: Tensor, values: str) -> Tensor:
    """Raw numbers (n, c, h, w) to what the first layer sees; the exported graph does the same."""
    if values == "hounsfield":
        return torch.cat([((image - low) / (high - low)).clamp(0, 1) for low, high in WINDOWS], dim=1)
    if values == "colour":
        return image / 255 - 0.5
    x = image - image.mean(dim=(2, 3), keepdim=True)
    return x / (x.square().mean(dim=(2, 3), keepdim=True).sqrt() + 1.0)


class Network(nn.Module):  # type: ignore[misc]  # torch is not where the types are checked
    """A coarse branch with a wide view is added to a fine one; the map of the sum is pooled to the logits."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        half, quarter, fine, wide = WIDTHS
        self.recipe = recipe
        inputs = len(WINDOWS) if recipe.values == "hounsfield" else recipe.channels
        self.fine = nn.ModuleList([
            Block(inputs, half, 5, 2), Block(half, quarter, 3, 2), Residual(quarter),
            Block(quarter, fine, 3, 2), Residual(fine),
        ])  # fmt: skip
        self.coarse = nn.ModuleList(
            [Block(fine, wide, 3, 2), Residual(wide), Residual(wide), Block(wide, fine, 1)]
        )
        self.join = Block(fine, fine)
        self.head = nn.Conv2d(fine, len(recipe.labels), 1)
        self.sharpness = nn.Parameter(torch.ones(len(recipe.labels)))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """``image``: float of raw integers, (n, c, side, side). Returns logits (n, L) and map (n, L, cells, cells)."""
        x = normalised(image, self.recipe.values)
        for layer in self.fine:
            x = layer(x)
        wide = x
        for layer in self.coarse:
            wide = layer(wide)
        x = self.join(x + functional.interpolate(wide, scale_factor=2.0, mode="nearest"))
        cam = self.head(x).float()
        sharp = functional.softplus(self.sharpness)[None, :, None, None]
        pooled = torch.logsumexp(cam * sharp, dim=(2, 3)) - float(np.log(self.recipe.cells**2))
        return pooled / sharp[:, :, 0, 0], cam

    def pooling(self) -> list[float]:
        """Sharpness of each label's soft maximum, as the model's JSON states it."""
        return [float(v) for v in functional.softplus(self.sharpness).detach()]

    def write(self, path: Path) -> None:
        """Write the network as ONNX."""
        export(self, path)


def export(network: Network, path: Path) -> None:
    """Write the network as ONNX, with its batch norms folded in."""
    recipe = network.recipe
    writer = GraphWriter(recipe)
    x = writer.normalised_input()
    for layer in network.fine:
        x = _emit(writer, layer, x)
    wide = x
    for layer in network.coarse:
        wide = _emit(writer, layer, wide)
    joined = _emit(writer, network.join, writer.add(x, writer.twice_as_large(wide)))
    head = network.head.weight.detach().numpy(), network.head.bias.detach().numpy()
    sharp = np.array(network.pooling(), dtype=np.float32)
    writer.finish(path, joined, head, sharp, width=WIDTHS[2])


def _emit(writer: GraphWriter, layer: nn.Module, x: str) -> str:
    if isinstance(layer, Residual):
        return writer.add(x, _emit(writer, layer.second, _emit(writer, layer.first, x)))
    scale = (layer.norm.weight / (layer.norm.running_var + layer.norm.eps).sqrt()).detach()
    weight = (layer.conv.weight.detach() * scale[:, None, None, None]).numpy()
    bias = (layer.norm.bias.detach() - layer.norm.running_mean * scale).numpy()
    return writer.convolution(x, weight, bias, stride=layer.conv.stride[0])
