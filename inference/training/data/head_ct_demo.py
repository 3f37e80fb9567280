"""Synthetic head CT for ``head_ct_demo``: trained on slices, measured on series."""

from __future__ import annotations

import numpy as np

from inference.training import head
from inference.training.head import BOTTOM_MM, TOP_MM, Head, Slice
from inference.training.recipe import Example, Recipe, Unit

SIDE, CELLS = 192, 24
SLICES = 16
"""Slices of a series: 6.7 mm apart, as of a quick scan."""
AT_A_BLEED = 0.75
"""Share of training slices that go through a bleeding where there is one; the others lie anywhere."""


def example(seed: int) -> Example:
    """One slice of the head of that seed."""
    patient = head.draw(seed)
    rng = np.random.default_rng([21, seed])
    z = rng.uniform(BOTTOM_MM, TOP_MM)
    if patient.bleeds and rng.uniform() < AT_A_BLEED:
        bleed = patient.bleeds[int(rng.integers(len(patient.bleeds)))]
        z = float(np.clip(rng.normal(bleed.z, 6), BOTTOM_MM, TOP_MM))
    return _example(patient, head.cut(patient, z, SIDE))


def unit(seed: int) -> Unit:
    """The whole head of that seed."""
    patient = head.draw(seed)
    return tuple(_example(patient, each) for each in head.series(patient, SLICES, SIDE))


def _example(patient: Head, made: Slice) -> Example:
    told = {"noise_hu": patient.noise, "blur_mm": patient.blur, "atrophy": patient.atrophy, "z_mm": made.z}
    told |= {bleed.kind: bleed.conspicuity for bleed in patient.bleeds}
    return Example(made.values[None], made.masks, made.spacing_mm, told)


RECIPE = Recipe(
    name="head_ct_demo",
    version=4,
    labels=head.LABELS,
    values="hounsfield",
    dtype="int16",
    channels=1,
    side=SIDE,
    cells=CELLS,
    generator_version=head.GENERATOR_VERSION,
    training_images=8000,
    epochs=10,
    example=example,
    unit=unit,
    calibration_units=500,
    test_units=800,
    map_weight=1.5,
    whole_from=0.125,
    reach_weight=1.0,
    truth=(
        "pixels of which blood is 40 % or more, and no other bleeding or bone lies over it; of sheets along the skull "
        "(epidural, subdural) what is at least 2 mm thick; of subarachnoid blood what makes folds, fissures and cisterns as "
        "dense as the cortex beside them, not the film under the skull, which is thinner. Specks of less than 7 mm² are left "
        "out. A slice has a finding from 45 mm² on. Bleeding of any kind is all of it together, wherever it lies."
    ),
    subgroups=("noise_hu", "blur_mm", "atrophy"),
)
