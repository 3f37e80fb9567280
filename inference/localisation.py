"""From a class-activation map to a heat map, a box and a contour in original pixels. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inference.geometry import Geometry
from inference.spec import Label, ModelSpec

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in columns and rows of the original image, edges of pixels, 0 at the upper left."""
Contour = tuple[tuple[float, float], ...]
"""Corners (x, y) of a closed line in columns and rows of the original image, edges of pixels, clockwise on the screen."""
Cells = NDArray[np.bool_]

SHARE_OF_PEAK = 0.5
"""Share of the strongest cell's probability that bounds a region where no calibration chose a border (:class:`Label`)."""
FINER = 4
"""Parts of a cell's side, between which the map's logits are interpolated: a border that runs through a cell is drawn there."""
MOST_PARTS = 3
"""Parts of a region that are outlined, the largest first: more is a map without a place."""
MOST_CORNERS = 64
"""Corners of a contour: enough for any region that a person would draw."""


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
    contours: tuple[Contour, ...] = ()
    """Round the parts of the same region, the largest first, at most :data:`MOST_PARTS`."""


def findings(
    spec: ModelSpec, outputs: Mapping[str, NDArray[np.floating]], geometry: Geometry
) -> tuple[Finding, ...]:
    """Findings of one image, one per label in their order: of ``logits`` (L,) and ``cam`` (L, h, w), raw logits per cell.

    Raises ``ValueError`` where the outputs are not of these labels.
    """
    logits, cams = outputs["logits"], outputs["cam"]
    if logits.shape != (len(spec.labels),) or cams.shape[0] != len(spec.labels):
        raise ValueError(f"outputs of {spec.name} do not have one row per label")
    made = []
    for i, label in enumerate(spec.labels):
        logit = round(float(logits[i]), 5)
        present = label.present(logit)
        cells = sigmoid(cams[i])
        box: Box | None = None
        lines: tuple[Contour, ...] = ()
        if present:
            region = marked(cams[i], label)
            box = geometry.to_original(region_box(region, geometry.side))
            lines = tuple(_to_original(line, geometry) for line in contours(region, geometry.side))
        heat = heat_map(cells, geometry.side)
        made.append(Finding(label.name, logit, label.probability(logit), present, box, heat, lines))
    return tuple(made)


def heat_map(cells: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Cell probabilities enlarged smoothly to ``side`` × ``side``."""
    grown = Image.fromarray(cells).resize((side, side), Image.Resampling.BICUBIC)
    return np.clip(np.asarray(grown, dtype=np.float32), 0, 1)


def marked(cam: NDArray[np.floating], label: Label) -> Cells:
    """The region of a finding, on a grid :data:`FINER` than the map's; ``cam`` (h, w) are the map's logits.

    Never empty, since the middle of the strongest cell is always in it.
    """
    fine = _finer(cam)
    row, column = (int(v) * FINER + FINER // 2 for v in np.unravel_index(int(cam.argmax()), cam.shape))
    peak = float(fine[row, column])
    member = fine >= min(peak, _half(peak) if label.border is None else label.border)
    return member if label.scattered else _flooded(member, row, column)


def _finer(cam: NDArray[np.floating]) -> NDArray[np.float32]:
    """Logits between the middles of the cells, in a straight line; beyond the outermost middles as there."""
    height, width = cam.shape
    real = np.asarray(cam, dtype=np.float32)
    grown = cv2.resize(real, (width * FINER, height * FINER), interpolation=cv2.INTER_LINEAR)
    return np.asarray(grown, dtype=np.float32)


def _half(peak: float) -> float:
    """Logit of :data:`SHARE_OF_PEAK` of the probability of a logit."""
    share = SHARE_OF_PEAK * float(sigmoid(np.array(peak)))
    return float(np.log(share / (1 - share))) if share > 0 else peak


def connected(cells: Cells) -> list[Cells]:
    """The parts of a region whose cells touch by a side or a corner, the largest first."""
    count, numbered = _numbered(cells)
    return sorted((numbered == number for number in range(1, count)), key=lambda part: -int(part.sum()))


def _flooded(member: Cells, row: int, column: int) -> Cells:
    """The members that are reached from one of them by sides and corners: a thin slanting finding is one."""
    _, numbered = _numbered(member)
    return np.asarray(numbered == numbered[row, column])


def _numbered(cells: Cells) -> tuple[int, NDArray[np.int32]]:
    """How many parts there are, the rest counted as one, and the number of each cell's: 0 for the rest."""
    count, numbered = cv2.connectedComponents(cells.astype(np.uint8), connectivity=8)
    return count, np.asarray(numbered, dtype=np.int32)


def region_box(region: Cells, side: int) -> Box:
    """Box round a region, in model pixels."""
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    height, width = side / region.shape[0], side / region.shape[1]
    return (
        float(columns[0] * width), float(rows[0] * height),
        float((columns[-1] + 1) * width), float((rows[-1] + 1) * height),
    )  # fmt: skip


def contours(region: Cells, side: int) -> tuple[Contour, ...]:
    """Outer border of each part of a region, in model pixels, the largest part first, at most :data:`MOST_PARTS`."""
    return tuple(contour(part, side) for part in connected(region)[:MOST_PARTS])


def contour(part: Cells, side: int) -> Contour:
    """Outer border of a connected part along the sides of its cells, in model pixels, at most :data:`MOST_CORNERS` corners."""
    steps = _border(np.pad(part, 1))
    start = min(steps, key=lambda corner: (corner[1], corner[0]))
    line, at, before = [start], start, (1, 0)
    while True:
        ways = steps[at]
        # Where two cells touch by a corner only, the turn to the left leads on to the other cell.
        way = ways[0] if len(ways) == 1 else (before[1], -before[0])
        if at != start and way == before:
            line.pop()
        at, before = (at[0] + way[0], at[1] + way[1]), way
        if at == start:
            break
        line.append(at)
    height, width = side / part.shape[0], side / part.shape[1]
    return tuple(((x - 1) * width, (y - 1) * height) for x, y in _thinned(line))


def _thinned(line: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """At most :data:`MOST_CORNERS` of a line's corners, among them one on each side of its box."""
    if len(line) <= MOST_CORNERS:
        return line
    kept = set(range(0, len(line), -(-len(line) // (MOST_CORNERS - 4))))
    for axis in (0, 1):
        along = [corner[axis] for corner in line]
        kept |= {along.index(min(along)), along.index(max(along))}
    return [line[i] for i in sorted(kept)]


def _border(wide: Cells) -> dict[tuple[int, int], list[tuple[int, int]]]:
    """From each corner of the grid, the ways along the border with the region on the right."""
    steps: dict[tuple[int, int], list[tuple[int, int]]] = {}
    inner = wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:]
    outer = wide & ~np.pad(inner, 1)
    for row, column in zip(*(v.tolist() for v in np.nonzero(outer)), strict=True):
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
