"""What a model's training and evaluation need to know of its images. Pure data."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.integer]
Mask = NDArray[np.bool_]
Values = Literal["density", "hounsfield", "signal", "colour"]


@dataclass(frozen=True)
class Example:
    """One image as the model's input wants it, (channels, side, side), and what is in it.

    ``masks`` are bool (side, side), one for each label that is present. ``spacing_mm`` is the size of a model pixel.
    ``attributes`` are the generator's numbers that subgroups are made of.
    """

    image: Image
    masks: Mapping[str, Mask]
    spacing_mm: float
    attributes: Mapping[str, float] = field(default_factory=dict)


Unit = tuple[Example, ...]
"""What one result is about: one image, or the slices of one series from bottom to top."""


@dataclass(frozen=True)
class Recipe:
    """How one model is made and measured."""

    name: str
    version: int
    labels: tuple[str, ...]
    values: Values
    """What the input's numbers are, as :class:`inference.spec.Reading` names it."""
    dtype: Literal["uint8", "uint16", "int16"]
    channels: int
    side: int
    cells: int
    generator_version: str
    training_images: int
    epochs: int
    example: Callable[[int], Example]
    """Training image of a seed."""
    unit: Callable[[int], Unit]
    """What calibration and test look at, through the same resizing as the product's."""
    calibration_units: int
    test_units: int
    subgroups: tuple[str, ...]
    """Names of attributes that every example has."""
    froc_label: str = ""
    """Label whose regions are small and many enough for a FROC curve."""
    map_weight: float = 0.5
    """Share of the map's error in the loss: enough that the heat lies on the finding, not so much that small ones are lost."""
    whole_from: float = 1.0
    """Share of a cell that a finding must cover for the map to show it fully there: less than all of it where findings are
    thin or taper off, since what is to be learnt is how far they reach."""
    reach_weight: float = 0.0
    """Error on the rows and columns that a finding lies in, which boxes are drawn from, beside that on the map's cells."""


def truth_of(recipe: Recipe, example: Example) -> NDArray[np.bool_]:
    """Which labels an image has, in the recipe's order."""
    return np.array([name in example.masks for name in recipe.labels])


def coarse(recipe: Recipe, example: Example) -> NDArray[np.float32]:
    """How much of each map cell a finding covers, (L, cells, cells), 1 from :attr:`Recipe.whole_from` on."""
    made = np.zeros((len(recipe.labels), recipe.cells, recipe.cells), dtype=np.float32)
    step = recipe.side // recipe.cells
    for name, mask in example.masks.items():
        parts = mask.reshape(recipe.cells, step, recipe.cells, step)
        made[recipe.labels.index(name)] = parts.mean(axis=(1, 3))
    return np.asarray(np.minimum(made / np.float32(recipe.whole_from), np.float32(1)), dtype=np.float32)


def digest(recipe: Recipe, wanted: Iterable[int]) -> str:
    """SHA-256 over the training images of some seeds: the same on every machine that makes the same pictures."""
    told = hashlib.sha256()
    for seed in wanted:
        example = recipe.example(seed)
        told.update(
            np.ascontiguousarray(example.image).astype(example.image.dtype.newbyteorder("<")).tobytes()
        )
        told.update(truth_of(recipe, example).tobytes())
    return told.hexdigest()
