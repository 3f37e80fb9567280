"""Synthetic FLAIR-like brain MR with bright lesions, from a seed: signal without a unit, bias field, Rician noise.

It reuses the head of :mod:`inference.training.head` and exists to exercise routing and MR input, not to say anything of patients.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.training import head
from inference.training.anatomy import Mask, enlarge, smoothstep

LABELS = ("lesion",)
PREVALENCE = 0.4
GENERATOR_VERSION = "1"
"""Goes up with any change that alters a picture made from a given seed."""
FULL_SCALE = 65535
SIGNAL = (
    (-200.0, 0.02),
    (-61.0, 0.55),
    (-59.0, 0.55),
    (7.0, 0.12),
    (28.0, 0.42),
    (37.0, 0.55),
    (70.0, 0.6),
    (300.0, 0.05),
)
"""CT number and FLAIR signal of the same tissue: air, fat, water, white and grey matter, blood, bone."""


@dataclass(frozen=True)
class Picture:
    """``pixels`` uint16 (side, side) from 0 to the greatest value, and where lesions are."""

    pixels: NDArray[np.uint16]
    masks: dict[str, Mask]
    spacing_mm: float
    attributes: dict[str, float]


def generate(seed: int, side: int = 128, *, findings: frozenset[str] | None = None) -> Picture:
    """The slice of a seed; ``findings`` fixes whether there are lesions, and makes them evident."""
    rng = np.random.default_rng([0x3A, seed])
    drawn = rng.uniform() < PREVALENCE
    present = drawn if findings is None else "lesion" in findings
    shown = rng.uniform() if findings is None else 0.9
    patient = head.draw(seed, findings=frozenset())
    cut = head.cut(patient, rng.uniform(8, 30), side)
    at = [t[0] for t in SIGNAL]
    signal = np.interp(cut.values, at, [t[1] for t in SIGNAL])
    masks: dict[str, Mask] = {}
    if present:
        share = _lesions(rng, side, cut.spacing_mm, shown) * (cut.values > 15) * (cut.values < 60)
        signal = signal + (0.15 + 0.35 * shown) * share
        if (share > 0.4).any():
            masks["lesion"] = np.asarray(share > 0.4)
    bias = 1 + 0.25 * enlarge(rng.normal(0, 1, (3, 3)).astype(np.float32), (side, side))
    noise = rng.uniform(0.02, 0.06)
    real = signal * bias + noise * rng.standard_normal(signal.shape)
    magnitude = np.hypot(real, noise * rng.standard_normal(signal.shape))
    pixels = np.rint(magnitude * (FULL_SCALE / magnitude.max())).astype(np.uint16)
    return Picture(
        pixels, masks, cut.spacing_mm, {"noise": noise, "atrophy": patient.atrophy, "lesion": shown}
    )


def _lesions(rng: np.random.Generator, side: int, spacing: float, shown: float) -> NDArray[np.float32]:
    """A few round spots beside the ventricles."""
    at = (np.arange(side, dtype=np.float32) - (side - 1) / 2) * np.float32(spacing)
    total = np.zeros((side, side), dtype=np.float32)
    for _ in range(int(rng.integers(1, 4))):
        x, y = rng.choice([-1, 1]) * rng.uniform(20, 40), rng.uniform(-35, 35)
        radius = 3 + 6 * shown * rng.uniform(0.6, 1)
        total = np.maximum(total, smoothstep((radius - np.hypot(at[None, :] - x, at[:, None] - y)) / 1.5))
    return total
