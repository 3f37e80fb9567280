"""Train the demonstration chest X-ray model from its seeds. The one file that needs torch.

    python -m inference.training.train_cxr --output inference/models

It writes ``cxr_demo.onnx`` and ``cxr_demo.json`` (seeds, figures, calibration, digest). One thread, about ten minutes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from inference.training import metrics, seeds
from inference.training.onnx_graph import GOLDEN_SEED, GraphWriter, golden_image
from inference.training.phantoms import BITS_STORED, GENERATOR_VERSION, LABELS, Phantom, generate

SIDE, CELLS = 256, 32
"""Side of the model's image and of its class-activation map, in pixels and cells."""
EPOCHS, BATCH, SEED = 10, 32, 20261121
SPECIFICITY = 0.97
"""Operating point of every label on the calibration images: few false alarms, as a queue needs."""
LEAST_THRESHOLD = 0.3
"""Never call a finding present that is so unlikely, however easily the synthetic classes come apart."""


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


class Network(nn.Module):  # type: ignore[misc]  # torch is not where the types are checked
    """Small residual net; a coarse branch with a wide view is added to a fine one; the map is pooled to the logit."""

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.ModuleList(
            [Block(1, 12, 5, 2), Block(12, 24, 3, 2), Residual(24), Block(24, 48, 3, 2), Residual(48)]
        )
        self.coarse = nn.ModuleList([Block(48, 80, 3, 2), Residual(80), Residual(80), Block(80, 48, 1)])
        self.join = Block(48, 48)
        self.head = nn.Conv2d(48, len(LABELS), 1)
        self.sharpness = nn.Parameter(torch.ones(len(LABELS)))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """``image`` is float of raw 16-bit values, (n, 1, SIDE, SIDE). Returns logits (n, L) and map (n, L, h, w)."""
        x = image - image.mean(dim=(2, 3), keepdim=True)
        x = x / (x.square().mean(dim=(2, 3), keepdim=True).sqrt() + 1.0)
        for layer in self.fine:
            x = layer(x)
        wide = x
        for layer in self.coarse:
            wide = layer(wide)
        x = self.join(x + functional.interpolate(wide, scale_factor=2.0, mode="nearest"))
        cam = self.head(x).float()
        sharp = functional.softplus(self.sharpness)[None, :, None, None]
        pooled = torch.logsumexp(cam * sharp, dim=(2, 3)) - float(np.log(CELLS * CELLS))
        return pooled / sharp[:, :, 0, 0], cam


def example(seed: int) -> tuple[NDArray[np.uint16], NDArray[np.float32], NDArray[np.bool_]]:
    """Training image at the model's size, coarse masks and labels; some are narrower and padded, as real ones are."""
    columns = (256, 256, 232, 208)[seed % 4]
    phantom = generate(seed, rows=SIDE, columns=columns)
    left = (SIDE - columns) // 2
    pad = ((0, 0), (left, SIDE - columns - left))
    scaled = phantom.pixels.astype(np.float32) * (65535 / ((1 << BITS_STORED) - 1))
    image = np.pad(np.rint(scaled).astype(np.uint16), pad, mode="edge")
    return image, coarse_masks(phantom, pad), truth_of(phantom)


def coarse_masks(phantom: Phantom, pad: tuple[tuple[int, int], tuple[int, int]]) -> NDArray[np.float32]:
    """Share of each map cell that the finding covers, shape (L, CELLS, CELLS)."""
    cells = np.zeros((len(LABELS), CELLS, CELLS), dtype=np.float32)
    for name, mask in phantom.masks.items():
        whole = np.pad(mask, pad).reshape(CELLS, SIDE // CELLS, CELLS, SIDE // CELLS)
        cells[LABELS.index(name)] = whole.mean(axis=(1, 3))
    return cells


def truth_of(phantom: Phantom) -> NDArray[np.bool_]:
    """Labels as a vector in the order of ``LABELS``."""
    return np.array([name in phantom.labels for name in LABELS])


def training_set(cache: Path | None) -> tuple[Tensor, Tensor, Tensor]:
    """Images (uint16 in int32), masks and labels of the training seeds."""
    if cache is not None and cache.exists():
        stored = np.load(cache)
        parts = [stored["images"], stored["masks"], stored["truth"]]
    else:
        parts = [np.stack(p) for p in zip(*(example(s) for s in seeds.TRAINING), strict=True)]
        if cache is not None:
            np.savez(cache, images=parts[0], masks=parts[1], truth=parts[2])
    return torch.from_numpy(parts[0].astype(np.int32)), torch.from_numpy(parts[1]), torch.from_numpy(parts[2])


def augment(images: Tensor, masks: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Change contrast, noise and position. No mirroring: the side of the heart is information."""
    n = len(images)
    draw = torch.rand((n, 5), generator=generator)
    value = (images.float() / 65535).clamp(0, 1)[:, None]
    value = value ** (0.75 + 0.6 * draw[:, 0])[:, None, None, None]
    value = value * (0.6 + 0.4 * draw[:, 1])[:, None, None, None]
    value = value + 0.02 * draw[:, 2][:, None, None, None] * torch.randn(value.shape, generator=generator)
    cell = SIDE // CELLS
    for i in range(n):
        dy, dx = ((draw[i, 3:] * 5).long() - 2).tolist()
        value[i] = torch.roll(value[i], (dy * cell, dx * cell), (1, 2))
        masks[i] = torch.roll(masks[i], (dy, dx), (1, 2))
    return value.clamp(0, 1) * 65535, masks


def loss_of(logits: Tensor, cam: Tensor, truth: Tensor, masks: Tensor, cell_weight: Tensor) -> Tensor:
    """Error on the image's labels plus error of the map against the masks (rare cells weigh more)."""
    image = functional.binary_cross_entropy_with_logits(logits, truth.float())
    cells = functional.binary_cross_entropy_with_logits(cam, masks, pos_weight=cell_weight)
    return image + 0.5 * cells


def train(cache: Path | None) -> Network:
    """The whole training, from the seed."""
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(SEED)
    images, masks, truth = training_set(cache)
    positive = masks.mean(dim=(0, 2, 3))
    cell_weight = ((1 - positive) / positive).sqrt()[:, None, None]
    network: Network = Network().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=1e-3)
    steps = EPOCHS * (len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=steps, pct_start=0.15)
    for epoch in range(EPOCHS):
        total, began = 0.0, time.process_time()
        order = torch.randperm(len(images), generator=generator)
        for i in range(len(images) // BATCH):
            pick = order[i * BATCH : (i + 1) * BATCH]
            x, y = augment(images[pick], masks[pick].clone(), generator)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits, cam = network(x.contiguous(memory_format=torch.channels_last))
            loss = loss_of(logits, cam, truth[pick], y, cell_weight)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(
            f"epoch {epoch + 1}: loss {total * BATCH / len(images):.4f}, {time.process_time() - began:.0f} CPU-s",
            flush=True,
        )
    network.eval()
    return network


def export(network: Network, path: Path) -> None:
    """Write the graph by hand, batch norms folded: the file holds nothing but what inference needs."""
    writer = GraphWriter(SIDE)
    x = writer.normalised_input()
    for layer in network.fine:
        x = _emit(writer, layer, x)
    wide = x
    for layer in network.coarse:
        wide = _emit(writer, layer, wide)
    joined = _emit(writer, network.join, writer.add(x, writer.twice_as_large(wide)))
    sharp = functional.softplus(network.sharpness).detach().numpy()
    head = network.head.weight.detach().numpy(), network.head.bias.detach().numpy()
    writer.finish(path, joined, head, sharp, cells=CELLS)


def _emit(writer: GraphWriter, layer: nn.Module, x: str) -> str:
    if isinstance(layer, Residual):
        return writer.add(x, _emit(writer, layer.second, _emit(writer, layer.first, x)))
    scale = (layer.norm.weight / (layer.norm.running_var + layer.norm.eps).sqrt()).detach()
    weight = (layer.conv.weight.detach() * scale[:, None, None, None]).numpy()
    bias = (layer.norm.bias.detach() - layer.norm.running_mean * scale).numpy()
    return writer.convolution(x, weight, bias, stride=layer.conv.stride[0])


def evaluate(path: Path, wanted: range) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
    """Logits, truth and "peak of the map lies in the finding" of whole-size images, through the product's own path."""
    from inference.pixels import fit_square  # the product's resize, so that its kernel is part of the figures

    session = onnxruntime.InferenceSession(str(path), _one_thread(), providers=["CPUExecutionProvider"])
    logits, truth, hits = [], [], []
    for seed in wanted:
        phantom = generate(seed)
        tensor, _ = fit_square(phantom.pixels, (1 << BITS_STORED) - 1, SIDE)
        out, cam = session.run(["logits", "cam"], {"image": tensor[None]})
        masks = phantom.masks
        hits.append(
            [_peak_in(cam[0, i], masks[name]) if name in masks else False for i, name in enumerate(LABELS)]
        )
        logits.append(out[0])
        truth.append(truth_of(phantom))
    return np.stack(logits), np.stack(truth), np.array(hits)


def _peak_in(cam: NDArray[np.float32], mask: NDArray[np.bool_]) -> bool:
    """Whether the strongest cell touches the finding."""
    row, column = np.unravel_index(int(cam.argmax()), cam.shape)
    size = mask.shape[0] // CELLS
    return bool(mask[row * size : (row + 1) * size, column * size : (column + 1) * size].any())


def _one_thread() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return options


def describe(path: Path, cpu_seconds: float) -> dict[str, object]:
    """Calibrate on the calibration seeds, measure on the test seeds, and state both."""
    c_logits, c_truth, _ = evaluate(path, seeds.CALIBRATION)
    t_logits, t_truth, t_hits = evaluate(path, seeds.TEST)
    labels = {}
    for i, name in enumerate(LABELS):
        temperature, bias = metrics.fit_calibration(c_logits[:, i], c_truth[:, i])
        calibrated = metrics.sigmoid(c_logits[:, i] / temperature + bias)
        threshold = max(
            LEAST_THRESHOLD, metrics.threshold_for_specificity(calibrated, c_truth[:, i], SPECIFICITY)
        )
        p, yes = metrics.sigmoid(t_logits[:, i] / temperature + bias), t_truth[:, i]
        low, high = metrics.bootstrap_interval(p, yes)
        labels[name] = {
            "temperature": round(temperature, 6), "bias": round(bias, 6), "threshold": round(threshold, 6),
            "auroc": round(metrics.auroc(p, yes), 4), "auroc_95": [round(low, 4), round(high, 4)],
            "ece_raw": round(metrics.calibration_error(metrics.sigmoid(t_logits[:, i]), yes), 4),
            "ece": round(metrics.calibration_error(p, yes), 4),
            "sensitivity": round(float((p[yes] >= threshold).mean()), 4),
            "specificity": round(float((p[~yes] < threshold).mean()), 4),
            "peak_in_finding": round(float(t_hits[yes, i].mean()), 4), "positives": int(yes.sum()),
        }  # fmt: skip
    session = onnxruntime.InferenceSession(str(path), _one_thread(), providers=["CPUExecutionProvider"])
    golden = session.run(["logits"], {"image": golden_image(SIDE)[None]})[0][0]
    return {
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "calibration_version": "1", "generator_version": GENERATOR_VERSION, "training_seed": SEED, "epochs": EPOCHS,
        "seeds": {k: [r.start, r.stop] for k, r in _ranges().items()},
        "golden": {"seed": GOLDEN_SEED, "logits": [round(float(v), 5) for v in golden]},
        "training_cpu_seconds": round(cpu_seconds), "labels": labels,
    }  # fmt: skip


def _ranges() -> dict[str, range]:
    return {"training": seeds.TRAINING, "calibration": seeds.CALIBRATION, "test": seeds.TEST}


def main() -> None:
    """Train, export, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--cache", type=Path, help="keep the training images here and use them again")
    parser.add_argument(
        "--measure", action="store_true", help="keep the weights that are there; measure them again"
    )
    given = parser.parse_args()
    began = time.process_time()
    path = given.output / "cxr_demo.onnx"
    told = path.with_suffix(".json")
    if given.measure:
        seconds = float(json.loads(told.read_text())["training_cpu_seconds"])
    else:
        export(train(given.cache), path)
        seconds = time.process_time() - began
    card = describe(path, seconds)
    told.write_text(json.dumps(card, indent=2) + "\n")


if __name__ == "__main__":
    main()
