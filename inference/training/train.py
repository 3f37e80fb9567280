"""Train a demonstration model from its seeds, on one thread. Needs torch."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from inference.training import seeds
from inference.training.backbone import Transferred, loaded
from inference.training.network import Network
from inference.training.recipe import Recipe, coarse, truth_of

BATCH, SEED = 32, 20261121
PEAK_RATE, DECAY = 4e-3, 1e-3
HELD = 1
"""Epochs in which a backbone's weights stand still, until the head has found its way."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class Prepared:
    """Training images as they are stored, masks by cell (n, L, cells, cells), labels (n, L)."""

    images: NDArray[np.integer]
    masks: NDArray[np.float32]
    truth: NDArray[np.bool_]


def prepare(recipe: Recipe, cache: Path | None = None) -> Prepared:
    """Make the training images, or take them from ``cache`` if they were made before."""
    if cache is not None and cache.exists():
        stored = np.load(cache)
        return Prepared(stored["images"], stored["masks"], stored["truth"])
    examples = (recipe.example(seed) for seed in seeds.training(recipe.training_images))
    parts = zip(*((e.image, coarse(recipe, e), truth_of(recipe, e)) for e in examples), strict=True)
    made = Prepared(*(np.stack(part) for part in parts))
    if cache is not None:
        np.savez(cache, images=made.images, masks=made.masks, truth=made.truth)
    return made


def augmented(
    recipe: Recipe, images: Tensor, masks: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Change contrast, noise and position. No mirroring: which side is which is information."""
    n = len(images)
    draw = torch.rand((n, 5), generator=generator)
    noise = torch.randn(images.shape, generator=generator)
    value = _regraded(recipe.values, images, draw[:, :3, None, None, None], noise)
    step = recipe.side // recipe.cells
    masks = masks.clone()
    for i in range(n):
        dy, dx = ((draw[i, 3:] * 5).long() - 2).tolist()
        value[i] = torch.roll(value[i], (dy * step, dx * step), (1, 2))
        masks[i] = torch.roll(masks[i], (dy, dx), (1, 2))
    return value, masks


def _regraded(values: str, images: Tensor, draw: Tensor, noise: Tensor) -> Tensor:
    """``images`` with another grey scale; of Hounsfield units only the offset that scanners differ by."""
    if values == "hounsfield":
        return images + 5 * (draw[:, 0] - 0.5) + 2 * draw[:, 1] * noise
    top = 255.0 if values == "colour" else 65535.0
    value = (images / top).clamp(0, 1) ** (0.75 + 0.6 * draw[:, 0]) * (0.6 + 0.4 * draw[:, 1])
    return (value + 0.02 * draw[:, 2] * noise).clamp(0, 1) * top


def loss_of(
    recipe: Recipe, logits: Tensor, cam: Tensor, truth: Tensor, masks: Tensor, cell_weight: Tensor
) -> Tensor:
    """Error on the image's labels, plus errors of the map: of its cells (rare ones weigh more) and of how far it reaches."""
    image = functional.binary_cross_entropy_with_logits(logits, truth.float())
    cells = functional.binary_cross_entropy_with_logits(cam, masks, pos_weight=cell_weight)
    return image + recipe.map_weight * (cells + recipe.reach_weight * reach_error(cam, masks))


def reach_error(cam: Tensor, masks: Tensor) -> Tensor:
    """Error on which rows and which columns a finding lies in: each row's and each column's strongest cell says whether.

    These are what a box is drawn from. They are not weighted, so that one cell too many costs as much as one too few.
    """
    error = functional.binary_cross_entropy_with_logits
    rows, columns = (error(cam.amax(axis), masks.amax(axis)) for axis in (3, 2))
    return rows + columns


def train(
    recipe: Recipe, *, cache: Path | None = None, backbone: Path | None = None, say: Say = print
) -> Network | Transferred:
    """The whole training, from the seed; from ``backbone``'s weights where that is given, held still for :data:`HELD` epochs."""
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(SEED)
    network: Network | Transferred = loaded(recipe, backbone) if backbone else Network(recipe)
    data = prepare(recipe, cache)
    masks, truth = torch.from_numpy(data.masks), torch.from_numpy(data.truth)
    positive = masks.mean(dim=(0, 2, 3)).clamp_min(1e-6)
    weight = ((1 - positive) / positive).sqrt()[:, None, None]
    network = network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), lr=PEAK_RATE, weight_decay=DECAY)
    batches = len(truth) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=PEAK_RATE, total_steps=recipe.epochs * batches, pct_start=0.15
    )
    for epoch in range(recipe.epochs):
        total, began = 0.0, time.process_time()
        for parameter in network.borrowed() if isinstance(network, Transferred) else ():
            parameter.requires_grad_(epoch >= HELD)
        order = torch.randperm(len(truth), generator=generator)
        for pick in order[: batches * BATCH].split(BATCH):
            images = torch.from_numpy(data.images[pick.numpy()].astype(np.float32))
            x, y = augmented(recipe, images, masks[pick], generator)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits, cam = network(x.contiguous(memory_format=torch.channels_last))
            loss = loss_of(recipe, logits, cam, truth[pick], y, weight)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        say(f"epoch {epoch + 1}: loss {total / max(1, batches):.4f}, {time.process_time() - began:.0f} CPU-s")
    network.eval()
    return network
