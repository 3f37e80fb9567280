"""From a class-activation map to a heat map and a box in original pixels. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inference.pixels import Geometry
from inference.spec import ModelSpec

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in columns and rows of the original image, edges of pixels, 0 at the upper left."""

SHARE_OF_PEAK = 0.5
"""A cell belongs to the box if its probability is at least this share of the strongest cell's."""


@dataclass(frozen=True)
class Finding:
    """What the model says of one label in one image."""

    label: str
    logit: float
    probability: float
    """Calibrated."""
    present: bool
    box: Box | None
    """Only where the finding is present."""
    heat: NDArray[np.float32]
    """0..1 over the model's square, shape (side, side)."""


def findings(
    spec: ModelSpec, logits: NDArray[np.floating], cams: NDArray[np.floating], geometry: Geometry
) -> tuple[Finding, ...]:
    """Findings of one image: ``logits`` (L,), ``cams`` (L, h, w) of raw per-cell logits."""
    if logits.shape != (len(spec.labels),) or cams.shape[0] != len(spec.labels):
        raise ValueError(f"outputs of {spec.name} do not have one row per label")
    made = []
    for i, label in enumerate(spec.labels):
        logit = round(float(logits[i]), 5)
        present = label.present(logit)
        cells = _sigmoid(cams[i])
        box = geometry.to_original(strongest_box(cells, geometry.side)) if present else None
        made.append(
            Finding(label.name, logit, label.probability(logit), present, box, heat_map(cells, geometry.side))
        )
    return tuple(made)


def heat_map(cells: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Cell probabilities enlarged smoothly to ``side`` × ``side``."""
    grown = Image.fromarray(cells).resize((side, side), Image.Resampling.BICUBIC)
    return np.clip(np.asarray(grown, dtype=np.float32), 0, 1)


def strongest_box(cells: NDArray[np.float32], side: int) -> Box:
    """Box, in model pixels, round the connected cells about the strongest one."""
    row, column = (int(v) for v in np.unravel_index(int(cells.argmax()), cells.shape))
    member = cells >= SHARE_OF_PEAK * cells[row, column]
    seen, queue = {(row, column)}, deque([(row, column)])
    while queue:
        r, c = queue.popleft()
        for near in ((r - 1, c), (r + 1, c), (r, c - 1), (r, c + 1)):
            inside = 0 <= near[0] < cells.shape[0] and 0 <= near[1] < cells.shape[1]
            if inside and member[near] and near not in seen:
                seen.add(near)
                queue.append(near)
    rows, columns = [r for r, _ in seen], [c for _, c in seen]
    height, width = side / cells.shape[0], side / cells.shape[1]
    return min(columns) * width, min(rows) * height, (max(columns) + 1) * width, (max(rows) + 1) * height


def _sigmoid(values: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * values)), dtype=np.float32)
