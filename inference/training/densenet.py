"""DenseNet-121 with the names that torchvision and torchxrayvision give its weights. Needs torch.

Huang et al., Densely Connected Convolutional Networks, 2017. The activation map is exact: each cell's logit is the classifier on
that cell's features, and the logit is the mean over the cells.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from inference.training.onnx_graph import Normalisation, OpenGraph

BLOCKS, GROWTH, STEM, BOTTLENECK = (6, 12, 24, 16), 32, 64, 4


class DenseLayer(nn.Module):  # type: ignore[misc]  # torch is not where the types are checked
    """Norm, ReLU and convolution twice; the result is put beside the input."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm2d(inputs), nn.BatchNorm2d(BOTTLENECK * growth)
        self.conv1 = nn.Conv2d(inputs, BOTTLENECK * growth, 1, bias=False)
        self.conv2 = nn.Conv2d(BOTTLENECK * growth, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to (n, c + growth, h, w)."""
        made = self.conv2(functional.relu(self.norm2(self.conv1(functional.relu(self.norm1(x))))))
        return torch.cat([x, made], dim=1)


class DenseNet(nn.Module):  # type: ignore[misc]  # torch is not where the types are checked
    """The classifier without its sigmoid; ``blocks`` and ``growth`` are those of DenseNet-121 unless a test wants it small."""

    def __init__(
        self,
        channels: int,
        labels: int,
        *,
        blocks: tuple[int, ...] = BLOCKS,
        growth: int = GROWTH,
        stem: int = STEM,
    ) -> None:
        super().__init__()
        parts: OrderedDict[str, nn.Module] = OrderedDict(
            conv0=nn.Conv2d(channels, stem, 7, 2, 3, bias=False), norm0=nn.BatchNorm2d(stem)
        )
        width = stem
        for i, count in enumerate(blocks, start=1):
            layers = OrderedDict(
                (f"denselayer{j + 1}", DenseLayer(width + j * growth, growth)) for j in range(count)
            )
            parts[f"denseblock{i}"] = nn.Sequential(layers)
            width += count * growth
            if i < len(blocks):
                halves = OrderedDict(
                    norm=nn.BatchNorm2d(width), conv=nn.Conv2d(width, width // 2, 1, bias=False)
                )
                parts[f"transition{i}"] = nn.Sequential(halves)
                width //= 2
        parts["norm5"] = nn.BatchNorm2d(width)
        self.features = nn.ModuleDict(parts)
        self.classifier = nn.Linear(width, labels)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Normalised image (n, c, h, w) to logits (n, L), map (n, L, h/32, w/32) and embedding (n, d)."""
        x = functional.relu(self.features["norm0"](self.features["conv0"](x)))
        x = functional.max_pool2d(x, 3, 2, 1)
        for name, part in self.features.items():
            if name.startswith("denseblock"):
                x = part(x)
            elif name.startswith("transition"):
                x = functional.avg_pool2d(part.conv(functional.relu(part.norm(x))), 2)
        x = functional.relu(self.features["norm5"](x))
        cam = functional.conv2d(x, self.classifier.weight[:, :, None, None], self.classifier.bias)
        return cam.mean(dim=(2, 3)), cam, x.mean(dim=(2, 3))


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights under this module's names, from torchvision's, torchxrayvision's or MONAI's, or wrapped by a trainer."""
    found = {}
    for key, value in state.items():
        name = re.sub(r"^(module|model|net|network)\.", "", key)
        name = name.replace(".layers.", ".").replace("class_layers.out.", "classifier.")
        name = re.sub(r"denselayer(\d+)\.(norm|conv)\.(\d)\.", r"denselayer\1.\2\3.", name)
        if name.startswith(("features.", "classifier.")):
            found[name] = value
    return found


def loaded(state: Mapping[str, Tensor]) -> DenseNet:
    """The network whose weights these are; ``ValueError`` if they are not those of a DenseNet."""
    weights = renamed(state)
    try:
        channels, labels = weights["features.conv0.weight"].shape[1], weights["classifier.weight"].shape[0]
        stem, growth = (
            weights["features.conv0.weight"].shape[0],
            weights["features.denseblock1.denselayer1.conv2.weight"].shape[0],
        )
    except KeyError as missing:
        raise ValueError(f"these are not the weights of a DenseNet: there is no {missing.args[0]}") from None
    counts: dict[int, int] = {}
    for name in weights:
        if found := re.match(r"features\.denseblock(\d+)\.denselayer(\d+)\.", name):
            block, layer = int(found[1]), int(found[2])
            counts[block] = max(counts.get(block, 0), layer)
    blocks = tuple(counts[i] for i in sorted(counts))
    network: DenseNet = DenseNet(channels, labels, blocks=blocks, growth=growth, stem=stem).eval()
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError("these weights do not fit a DenseNet: names or shapes differ") from error
    return network


def export(
    network: DenseNet, path: Path, *, name: str, side: int, dtype: str, normalisation: Normalisation
) -> None:
    """Write logits, map, embedding and statistics as one ONNX graph over raw integers."""
    graph = OpenGraph(name, side=side, dtype=dtype, channels=normalisation.inputs)
    parts = network.features
    x = graph.relu(graph.norm(graph.conv(normalisation.emit(graph), parts["conv0"]), parts["norm0"]))
    x = graph.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    for part_name, part in parts.items():
        if part_name.startswith("denseblock"):
            for layer in part:
                made = graph.conv(graph.relu(graph.norm(x, layer.norm1)), layer.conv1)
                made = graph.conv(graph.relu(graph.norm(made, layer.norm2)), layer.conv2)
                x = graph.node("Concat", x, made, axis=1)
        elif part_name.startswith("transition"):
            x = graph.conv(graph.relu(graph.norm(x, part.norm)), part.conv)
            x = graph.node("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = graph.relu(graph.norm(x, parts["norm5"]))
    weight, bias = network.classifier.weight.detach().numpy(), network.classifier.bias.detach().numpy()
    graph.node(
        "Conv",
        x,
        graph.constant(weight[:, :, None, None]),
        graph.constant(bias),
        name="cam",
        kernel_shape=[1, 1],
    )
    graph.node("ReduceMean", "cam", name="logits", axes=[2, 3], keepdims=0)
    graph.node("ReduceMean", x, name="embedding", axes=[2, 3], keepdims=0)
    graph.statistics()
    graph.save(path, labels=len(bias), cells=side // 32, width=weight.shape[1])
