"""Synthetic brain MR for ``brain_mr_demo``."""

from __future__ import annotations

from inference.training import brain_mr
from inference.training.recipe import Example, Recipe, Unit

SIDE, CELLS = 128, 16


def example(seed: int) -> Example:
    """Training image, made at the model's size."""
    made = brain_mr.generate(seed, SIDE)
    image = made.pixels[None]
    return Example(image, made.masks, made.spacing_mm, made.attributes)


def unit(seed: int) -> Unit:
    """One image."""
    return (example(seed),)


RECIPE = Recipe(
    name="brain_mr_demo",
    version=3,
    labels=brain_mr.LABELS,
    values="signal",
    dtype="uint16",
    channels=1,
    side=SIDE,
    cells=CELLS,
    generator_version=brain_mr.GENERATOR_VERSION,
    training_images=14_400,
    epochs=12,
    example=example,
    unit=unit,
    calibration_units=4000,
    test_units=500,
    truth="pixels of which a lesion is 40 % or more; all the lesions of an image together.",
    subgroups=("noise", "atrophy"),
)
