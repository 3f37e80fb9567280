"""From the slices of a series to one answer about it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

STRONGEST = 2
"""Slices that speak for a series: a finding of any importance is seen on two, and noise seldom is."""


def series_logit(logits: NDArray[np.floating] | Sequence[float]) -> float:
    """One label's logit for a series: the mean of its strongest slices. Of one image, its own."""
    return float(np.mean(np.sort(np.asarray(logits, dtype=np.float64))[-STRONGEST:]))
