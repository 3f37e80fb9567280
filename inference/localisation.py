"""From a class-activation map to a heat map, a box and a contour in original pixels. Pure."""

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
Contour = tuple[tuple[float, float], ...]
"""Corners (x, y) of a closed line in columns and rows of the original image, edges of pixels, clockwise on the screen."""
Cells = NDArray[np.bool_]

SHARE_OF_PEAK = 0.5
"""Share of the peak that bounds a region where no calibration chose another (:attr:`inference.spec.Label.share_of_peak`)."""
MOST_CORNERS = 64
"""Corners of a contour: enough for any region of a 32 × 32 map that a person would draw."""


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
    contour: Contour = ()
    """Round the same region as the box."""


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
        cells = sigmoid(cams[i])
        box: Box | None = None
        line: Contour = ()
        if present:
            region = strongest_region(cells, label.share_of_peak)
            box = geometry.to_original(region_box(region, geometry.side))
            line = _to_original(contour(region, geometry.side), geometry)
        heat = heat_map(cells, geometry.side)
        made.append(Finding(label.name, logit, label.probability(logit), present, box, heat, line))
    return tuple(made)


def heat_map(cells: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Cell probabilities enlarged smoothly to ``side`` × ``side``."""
    grown = Image.fromarray(cells).resize((side, side), Image.Resampling.BICUBIC)
    return np.clip(np.asarray(grown, dtype=np.float32), 0, 1)


def strongest_region(cells: NDArray[np.floating], share_of_peak: float) -> Cells:
    """The connected cells about the strongest one that have at least ``share_of_peak`` of its probability."""
    row, column = (int(v) for v in np.unravel_index(int(cells.argmax()), cells.shape))
    return _flooded(cells >= share_of_peak * cells[row, column], row, column)


def connected(cells: Cells) -> list[Cells]:
    """The parts of a region whose cells touch by their sides."""
    left, parts = cells.copy(), []
    while left.any():
        row, column = (int(v[0]) for v in np.nonzero(left))
        part = _flooded(left, row, column)
        parts.append(part)
        left &= ~part
    return parts


def _flooded(member: Cells, row: int, column: int) -> Cells:
    """The members that are reached from one cell by sides."""
    seen = np.zeros_like(member)
    seen[row, column] = True
    queue = deque([(row, column)])
    while queue:
        r, c = queue.popleft()
        for near in ((r - 1, c), (r + 1, c), (r, c - 1), (r, c + 1)):
            inside = 0 <= near[0] < member.shape[0] and 0 <= near[1] < member.shape[1]
            if inside and member[near] and not seen[near]:
                seen[near] = True
                queue.append(near)
    return seen


def region_box(region: Cells, side: int) -> Box:
    """Box round a region, in model pixels."""
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    height, width = side / region.shape[0], side / region.shape[1]
    return (
        float(columns[0] * width), float(rows[0] * height),
        float((columns[-1] + 1) * width), float((rows[-1] + 1) * height),
    )  # fmt: skip


def strongest_box(cells: NDArray[np.floating], side: int, share_of_peak: float = SHARE_OF_PEAK) -> Box:
    """Box, in model pixels, round the connected cells about the strongest one."""
    return region_box(strongest_region(cells, share_of_peak), side)


def contour(region: Cells, side: int) -> Contour:
    """Outer border of a connected region along the sides of its cells, in model pixels, at most :data:`MOST_CORNERS` corners."""
    steps = _border(np.pad(region, 1))
    start = min(steps, key=lambda corner: (corner[1], corner[0]))
    line, at, before = [start], start, (1, 0)
    while True:
        ways = steps[at]
        # Where two cells touch by a corner only, the turn to the right stays with the cell that was followed.
        way = ways[0] if len(ways) == 1 else (-before[1], before[0])
        if at != start and way == before:
            line.pop()
        at, before = (at[0] + way[0], at[1] + way[1]), way
        if at == start:
            break
        line.append(at)
    height, width = side / region.shape[0], side / region.shape[1]
    thinned = line[:: -(-len(line) // MOST_CORNERS)]
    return tuple(((x - 1) * width, (y - 1) * height) for x, y in thinned)


def _border(wide: Cells) -> dict[tuple[int, int], list[tuple[int, int]]]:
    """From each corner of the grid, the ways along the border with the region on the right."""
    steps: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for row, column in zip(*(v.tolist() for v in np.nonzero(wide)), strict=True):
        if not wide[row - 1, column]:
            steps.setdefault((column, row), []).append((1, 0))
        if not wide[row, column + 1]:
            steps.setdefault((column + 1, row), []).append((0, 1))
        if not wide[row + 1, column]:
            steps.setdefault((column + 1, row + 1), []).append((-1, 0))
        if not wide[row, column - 1]:
            steps.setdefault((column, row + 1), []).append((0, -1))
    return steps


def _to_original(line: Contour, geometry: Geometry) -> Contour:
    return tuple(geometry.to_original((x, y, x, y))[:2] for x, y in line)


def sigmoid(values: NDArray[np.floating]) -> NDArray[np.float32]:
    """Probability of each cell."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * values)), dtype=np.float32)
