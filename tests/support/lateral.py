"""A lateral chest X-ray as crude shapes: what a frontal model must not be shown."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def lateral(seed: int, rows: int = 256, columns: int = 224) -> NDArray[np.uint16]:
    """Dense tissue bright, 12 bits: trunk, spine at the back, heart in front, lungs between them, diaphragm below."""
    rng = np.random.default_rng([0x1A7, seed])
    y = np.linspace(-1, 1, rows)[:, None]
    x = np.linspace(-1, 1, columns)[None, :] * (1 if seed % 2 else -1) + rng.uniform(-0.06, 0.06)
    trunk = np.sqrt(np.clip(1 - (x / 0.85) ** 2, 0, None)) + 0.5 * np.clip(-y - 0.75, 0, None) * (x < 0.4)
    lungs = (1 - ((x + 0.05) / 0.62) ** 2 - ((y + 0.1) / 0.75) ** 2).clip(0, None)
    dome = 1 / (1 + np.exp(-(y - 0.42 + 0.25 * x) / 0.05))
    heart = np.sqrt(np.clip(1 - ((x - 0.3) / 0.3) ** 2 - ((y - 0.2) / 0.36) ** 2, 0, None))
    spine = np.exp(-(((x + 0.55 + 0.12 * y**2) / 0.11) ** 2)) * (0.8 + 0.2 * np.cos(28 * y))
    picture = 1.2 * trunk - 0.95 * lungs * (1 - dome) + 0.5 * heart + rng.uniform(0.4, 0.8) * spine
    picture = picture + rng.normal(0, 0.02, picture.shape)
    low, high = np.percentile(picture, (0.5, 99.5))
    return np.asarray(np.clip((picture - low) / (high - low), 0, 1) * 3900 + 80, dtype=np.uint16)
