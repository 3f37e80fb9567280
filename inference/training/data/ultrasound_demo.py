"""Synthetic ultrasound for ``ultrasound_demo``."""

from __future__ import annotations

import numpy as np

from inference.training import ultrasound
from inference.training.recipe import Example, Recipe, Unit

SIDE, CELLS = 128, 16


def example(seed: int) -> Example:
    """Training image, made at the model's size."""
    made = ultrasound.generate(seed, SIDE)
    image = np.ascontiguousarray(made.frames[0].transpose(2, 0, 1))
    return Example(image, made.masks, made.spacing_mm, made.attributes)


def unit(seed: int) -> Unit:
    """One image."""
    return (example(seed),)


RECIPE = Recipe(
    name="ultrasound_demo",
    version=1,
    labels=ultrasound.LABELS,
    values="colour",
    dtype="uint8",
    channels=3,
    side=SIDE,
    cells=CELLS,
    generator_version=ultrasound.GENERATOR_VERSION,
    training_images=2400,
    epochs=8,
    example=example,
    unit=unit,
    calibration_units=400,
    test_units=400,
    truth="pixels of which a cyst or a mass is half or more; what lies behind it, brightened or in its shadow, is not it.",
    subgroups=("gain", "doppler"),
)
