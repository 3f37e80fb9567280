"""Three classes with a guarantee: `high`, `uncertain`, `low`. Where the data cannot support a class, there is none.

Bounds are tried from the strictest on, and the first that fails ends the search: a fixed sequence of tests, so that trying
many bounds does not spend the confidence (Angelopoulos et al., Learn then Test, 2021).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.evaluation.metrics import proves

PPV, NPV = 0.90, 0.95
"""Promised of `high` and of `low`, on images like those of the calibration."""
LEVEL = 0.95
"""Confidence of each promise."""
FIRST = 4
"""The strictest bound that is tried lets in one of so many of the images that belong: one odd image there is then no end."""
STEPS = 60
"""Bounds tried on each side: each is one more group of images let in."""


@dataclass(frozen=True)
class Bounds:
    """`high` from ``high_from`` on, `low` below ``low_below``; None where the data support no such class."""

    high_from: float | None
    low_below: float | None


def bounds(probabilities: NDArray[np.floating], truth: NDArray[np.bool_]) -> Bounds:
    """Choose both bounds on calibration images."""
    low = _furthest(1 - probabilities, ~truth, NPV)
    return Bounds(_furthest(probabilities, truth, PPV), None if low is None else 1 - low)


def _furthest(scores: NDArray[np.floating], right: NDArray[np.bool_], promised: float) -> float | None:
    """Smallest score above which, as above every larger one tried, the share of ``right`` keeps the promise."""
    order = np.argsort(-scores, kind="stable")
    found = None
    # So few prove the promise if none is wrong.
    fewest = math.ceil(math.log(1 - LEVEL) / math.log(promised))
    first, last = max(fewest, int(right.sum()) // FIRST), len(scores) - 1
    sizes: list[int] = np.unique(np.linspace(first, last, STEPS).astype(int)).tolist() if first < last else []
    hits = np.cumsum(right[order])
    for size in sizes:
        if not proves(int(hits[size - 1]), size, promised, level=LEVEL):
            break
        found = float(scores[order[size - 1]])
    return found
