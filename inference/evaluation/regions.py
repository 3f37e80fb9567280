"""Where a map says a finding is, against where it is: pointing game, overlap, boxes, FROC."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from inference.localisation import marked, region_box
from inference.spec import Label

Cells = NDArray[np.bool_]
BORDERS = tuple(float(v) for v in np.arange(-2, 6.25, 0.5))
"""Logits of the map that are tried as the border of a region."""
RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""False marks per image at which a FROC curve is read."""


@dataclass(frozen=True)
class Found:
    """One positive image's map beside the truth."""

    pointed: bool
    """Whether the strongest cell touches the finding."""
    overlap: float
    """Intersection over union of the region and the finding, on the region's grid."""
    box_error: float
    """Largest distance, in cells, between an edge of the region's box and the finding's, the finding's to the pixel."""


TOUCHED = 0.125
"""Share of a cell that a finding covers at least where it is said to lie there: a groove of a pixel's width is no more."""


def touched(mask: NDArray[np.bool_], cells: int) -> Cells:
    """Cells that a finding covers at least :data:`TOUCHED` of; the one that it covers most if there is none."""
    step = mask.shape[0] // cells
    share = mask.reshape(cells, step, cells, step).mean(axis=(1, 3))
    return np.asarray(share >= min(TOUCHED, float(share.max())))


def compare(cam: NDArray[np.floating], mask: NDArray[np.bool_], label: Label) -> Found:
    """``cam`` are the map's logits (h, w), ``mask`` the finding in model pixels: the box is held to all of these."""
    region = marked(cam, label)
    truth = touched(mask, region.shape[0])
    peak = np.unravel_index(int(cam.argmax()), cam.shape)
    step = mask.shape[0] // cam.shape[0]
    around = mask[peak[0] * step : (peak[0] + 1) * step, peak[1] * step : (peak[1] + 1) * step]
    union = int((region | truth).sum())
    off = np.array(region_box(region, mask.shape[0])) - np.array(region_box(mask, mask.shape[0]))
    return Found(bool(around.any()), float((region & truth).sum() / union), float(np.abs(off).max() / step))


def best_border(
    label: Label, pairs: list[tuple[NDArray[np.floating], NDArray[np.bool_]]]
) -> tuple[float | None, bool]:
    """Border of a label's regions, and whether they are scattered: what puts most boxes within a cell on calibration images.

    ``pairs`` are maps (logits) and masks. The better overlap wins a tie; without images there is no border.
    """
    if not pairs:
        return None, False

    def good(tried: tuple[float, bool]) -> tuple[float, float]:
        as_tried = replace(label, border=tried[0], scattered=tried[1])
        found = [compare(cam, mask, as_tried) for cam, mask in pairs]
        return float(np.mean([f.box_error <= 1 for f in found])), float(np.mean([f.overlap for f in found]))

    return max(((border, scattered) for scattered in (False, True) for border in BORDERS), key=good)


def marks(cells: NDArray[np.floating]) -> list[tuple[float, int, int]]:
    """Local maxima of a map: score, row, column."""
    grown = np.pad(cells, 1, constant_values=-np.inf)
    height, width = cells.shape
    around = [grown[r : r + height, c : c + width] for r in range(3) for c in range(3) if (r, c) != (1, 1)]
    rows, columns = np.nonzero(cells >= np.max(around, axis=0))
    return [(float(cells[r, c]), int(r), int(c)) for r, c in zip(rows, columns, strict=True)]


def froc(images: list[tuple[NDArray[np.floating], NDArray[np.bool_] | None]]) -> list[tuple[float, float]]:
    """Sensitivity at each of :data:`RATES` false marks per image; a mark within a cell of the finding hits it."""
    false: list[float] = []
    best: list[float] = []
    for cells, mask in images:
        near = (
            _grown(touched(mask, cells.shape[0])) if mask is not None else np.zeros(cells.shape, dtype=bool)
        )
        scored = marks(cells)
        false += [score for score, row, column in scored if not near[row, column]]
        if mask is not None:
            best.append(max((score for score, row, column in scored if near[row, column]), default=-np.inf))
    ordered = np.sort(np.array(false))[::-1]
    told = []
    for rate in RATES:
        allowed = int(rate * len(images))
        bar = ordered[allowed] if allowed < len(ordered) else -np.inf
        told.append((rate, float(np.mean(np.array(best) > bar)) if best else 0.0))
    return told


def _grown(cells: Cells) -> Cells:
    """The cells and their eight neighbours."""
    wide = np.pad(cells, 1)
    height, width = cells.shape
    around = [wide[r : r + height, c : c + width] for r in range(3) for c in range(3)]
    return np.asarray(np.logical_or.reduce(around))
