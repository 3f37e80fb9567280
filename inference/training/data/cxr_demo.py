"""Synthetic frontal chest X-rays for ``cxr_demo``."""

from __future__ import annotations

import numpy as np

from inference.pixels import fit_square
from inference.training import phantoms
from inference.training.phantoms import BITS_STORED, Phantom
from inference.training.recipe import Example, Mask, Recipe, Unit

SIDE, CELLS = 256, 32
WIDTHS = (256, 256, 232, 208)
"""Columns of the training images: some detectors are taller than wide, and padded."""


def example(seed: int) -> Example:
    """Training image, made at the model's size."""
    columns = WIDTHS[seed % len(WIDTHS)]
    phantom = phantoms.generate(seed, rows=SIDE, columns=columns)
    left = (SIDE - columns) // 2
    pad = ((0, 0), (left, SIDE - columns - left))
    spread = np.rint(phantom.pixels.astype(np.float32) * (65535 / ((1 << BITS_STORED) - 1)))
    image = np.pad(spread.astype(np.uint16), pad, mode="edge")[None]
    return Example(
        image, {k: np.pad(v, pad) for k, v in phantom.masks.items()}, phantom.spacing_mm, phantom.attributes
    )


def unit(seed: int) -> Unit:
    """Image of 512 × 512 made small by the product's own resizing, so that its kernel is part of every figure."""
    phantom = phantoms.generate(seed)
    image, geometry = fit_square(phantom.pixels, (1 << BITS_STORED) - 1, SIDE)
    return (Example(image, _small_masks(phantom), phantom.spacing_mm / geometry.scale, phantom.attributes),)


def _small_masks(phantom: Phantom) -> dict[str, Mask]:
    step = phantom.pixels.shape[0] // SIDE
    return {
        name: np.asarray(mask.reshape(SIDE, step, SIDE, step).any(axis=(1, 3)))
        for name, mask in phantom.masks.items()
    }


RECIPE = Recipe(
    name="cxr_demo",
    version=4,
    labels=phantoms.LABELS,
    values="density",
    dtype="uint16",
    channels=1,
    side=SIDE,
    cells=CELLS,
    generator_version=phantoms.GENERATOR_VERSION,
    training_images=5200,
    epochs=10,
    example=example,
    unit=unit,
    calibration_units=1000,
    test_units=1200,
    subgroups=("thickness_mm", "photons", "blur_mm", "devices"),
    truth=(
        "a nodule and a heart, their whole outline; free air, where some of it (4 mm of lung's air) lies along the ray;"
        " fluid, where it displaces at least 10 mm of air along the ray; consolidation, which has no border, where it "
        "displaces at least half as much air as where it displaces most."
    ),
    froc_label="nodule",
    map_weight=1.0,
    whole_from=0.125,
    reach_weight=1.0,
)
