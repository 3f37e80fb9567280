"""Synthetic B-mode ultrasound in colour, from a seed: speckle, depth gain, a sector, cysts and masses, a Doppler box.

It exists to exercise several frames and colour, not to say anything of patients.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.training.anatomy import Field, Mask, enlarge, smooth, smoothstep

LABELS = ("cyst", "mass")
PREVALENCE = 0.35
GENERATOR_VERSION = "1"
"""Goes up with any change that alters a picture made from a given seed."""
DEPTH_MM = 120.0
"""Side of the square picture."""


@dataclass(frozen=True)
class Clip:
    """``frames`` uint8 (n, side, side, 3), red, green, blue; the finding is at one place in all of them."""

    frames: NDArray[np.uint8]
    masks: dict[str, Mask]
    spacing_mm: float
    attributes: dict[str, float]


def generate(seed: int, side: int = 128, *, frames: int = 1, findings: frozenset[str] | None = None) -> Clip:
    """The clip of a seed; ``findings`` fixes what it shows, and makes it evident."""
    rng = np.random.default_rng([0x05, seed])
    drawn = rng.uniform(size=2) < PREVALENCE
    present = frozenset(n for n, d in zip(LABELS, drawn, strict=True) if d) if findings is None else findings
    shown = rng.uniform(size=2) if findings is None else np.array([0.9, 0.9])
    at = (np.arange(side, dtype=np.float32) - (side - 1) / 2) * np.float32(DEPTH_MM / side)
    x, y = np.broadcast_arrays(at[None, :], at[:, None] + DEPTH_MM / 2 + 8)
    sector = smoothstep((np.tan(0.62) * y - np.abs(x)) / 2) * smoothstep((DEPTH_MM - 2 - y) / 2)
    layers = enlarge(rng.normal(0, 1, (9, 3)).astype(np.float32), (side, side))
    echo = np.asarray(0.30 + 0.06 * layers, dtype=np.float32)
    masks: dict[str, Mask] = {}
    for i, (name, left) in enumerate(zip(LABELS, rng.permutation([-1, 1]), strict=True)):
        if name in present:
            echo, masks[name] = _put(name, echo, x, y, float(left), rng, float(shown[i]))
    gain = rng.uniform(0.8, 1.3)
    doppler = float(rng.uniform() < 0.3)
    made = [
        _frame(echo, sector, y, gain, doppler, np.random.default_rng([6, seed, f])) for f in range(frames)
    ]
    told = {"gain": gain, "doppler": doppler, "cyst": float(shown[0]), "mass": float(shown[1])}
    return Clip(np.stack(made), masks, DEPTH_MM / side, told)


def _put(
    name: str, echo: Field, x: Field, y: Field, left: float, rng: np.random.Generator, shown: float
) -> tuple[Field, Mask]:
    """A cyst has no echo and brightens what lies behind; a mass is dark and uneven, with a shadow."""
    cx, cy, radius = left * rng.uniform(10, 22), rng.uniform(50, 95), 4 + 10 * shown + rng.uniform(0, 2)
    flat = rng.uniform(0.75, 1.25)
    share = smoothstep((radius - np.hypot((x - cx) / flat, (y - cy) * flat)) / 1.2)
    behind = smoothstep((radius * 0.8 - np.abs(x - cx)) / 2) * (y > cy) * np.exp(-(y - cy) / 30)
    if name == "cyst":
        echo = echo * (1 + 0.7 * behind) * (1 - share) + 0.02 * share
    else:
        level = 0.22 - 0.12 * shown
        echo = echo * (1 - 0.35 * behind) * (1 - share) + level * share
    return np.asarray(echo, dtype=np.float32), np.asarray(share > 0.5)


def _frame(
    echo: Field, sector: Field, y: Field, gain: float, doppler: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Speckle that widens with depth, compressed as a scanner does, and the colour box over it."""
    real, imaginary = (rng.standard_normal(echo.shape, dtype=np.float32) for _ in range(2))
    grain = np.hypot(smooth(real, 0.8), smooth(imaginary, 0.8)) / 0.28
    deep = np.hypot(smooth(real, 1.6), smooth(imaginary, 1.6)) / 0.14
    weight = smoothstep(y / DEPTH_MM)
    seen = gain * echo * (grain * (1 - weight) + deep * weight) * np.exp(-0.004 * y)
    gray = np.clip(255 * np.log1p(12 * seen) / np.log(13), 0, 255) * sector
    picture = np.repeat(gray[..., None], 3, axis=2)
    if doppler:
        side = len(gray)
        box = (slice(side // 3, side // 2), slice(side // 3, 2 * side // 3))
        flow = smooth(rng.standard_normal(gray.shape, dtype=np.float32), 3)[box]
        picture[(*box, 0)] = np.where(flow > 0.12, 220, picture[(*box, 0)])
        picture[(*box, 2)] = np.where(flow < -0.12, 220, picture[(*box, 2)])
    return np.asarray(np.rint(picture), dtype=np.uint8)
