"""Whether a picture is an upright frontal chest, dense tissue bright: by ranks of a coarse picture, whatever its grey scale."""

from __future__ import annotations

import json
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

TEMPLATE = Path(__file__).with_name("chest_template.json")
CELLS = 24
"""Rows and columns of the coarse picture: lungs and mediastinum are some cells wide, findings less than two."""
LEAST_LIKENESS = 0.2
"""Least correlation of ranks with the average chest. Generated ones have 0.77 up, two real ones 0.32 and 0.41, noise 0.08."""
LEAST_LEAD = 0.05
"""By how much the upright picture must be more like the average than any turned or inverted one. Generated 0.13, real 0.2."""
LEAST_MEDIASTINUM = 0.6
"""Least contrast of the middle against the lungs, in ranks of unit deviation. Frontal 1.6 up, real 1.2 up, lateral below 0."""
LEVEL = slice(6, 14)
"""Rows of cells at the height of hila and heart."""
MIDDLE, RIGHT, LEFT = slice(10, 14), slice(3, 9), slice(15, 21)
"""Columns of cells of the mediastinum and of the two lungs."""


def refusal(picture: NDArray[Any]) -> str:
    """Why a picture, dense tissue bright, is no upright frontal chest: a reason of the input contract, or nothing.

    A mirrored chest passes: heart on the right is a finding, and sides are known from the header alone.
    """
    coarse = shrunk(picture)
    template = average_ranks()
    upright = float(ranks(coarse) @ template)
    turned, inverted = -1.0, -1.0
    for quarter, mirrored in product(range(4), (False, True)):
        likeness = float(ranks(np.rot90(coarse[:, ::-1] if mirrored else coarse, quarter)) @ template)
        inverted = max(inverted, -likeness)
        if quarter:
            turned = max(turned, likeness)
    if inverted > max(upright, turned) and inverted >= LEAST_LIKENESS:
        return "inverted values"
    if turned > upright - LEAST_LEAD and turned >= LEAST_LIKENESS:
        return "rotated"
    if upright < LEAST_LIKENESS or mediastinum(coarse) < LEAST_MEDIASTINUM:
        return "not a frontal chest"
    return ""


def mediastinum(coarse: NDArray[np.float32]) -> float:
    """How much denser the middle is than the darker part of the denser lung, in ranks of unit deviation."""
    levels = ranks(coarse).reshape(CELLS, CELLS) * CELLS
    right, left = (levels[LEVEL, lung].min(axis=1).mean() for lung in (RIGHT, LEFT))
    return float(levels[LEVEL, MIDDLE].mean() - max(right, left))


def shrunk(picture: NDArray[Any]) -> NDArray[np.float32]:
    """The picture in :data:`CELLS` by :data:`CELLS` averages."""
    coarse = cv2.resize(picture.astype(np.float32), (4 * CELLS, 4 * CELLS), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(coarse, (CELLS, CELLS), interpolation=cv2.INTER_AREA), dtype=np.float32)


def ranks(picture: NDArray[Any]) -> NDArray[np.float64]:
    """Ranks of all values, with mean 0 and norm 1, flat: a product of two is their rank correlation."""
    flat = picture.ravel()
    order = np.empty(flat.size)
    order[np.argsort(flat, kind="stable")] = np.arange(flat.size)
    order -= order.mean()
    return np.asarray(order / np.linalg.norm(order))


@lru_cache(maxsize=1)
def average_ranks() -> NDArray[np.float64]:
    """The average chest, as :mod:`inference.training.template` wrote it."""
    cells = np.array(json.loads(TEMPLATE.read_text())["ranks"], dtype=np.float64).ravel()
    return np.asarray(cells / np.linalg.norm(cells))
