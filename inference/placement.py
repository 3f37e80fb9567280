"""From the pixels of one image to millimetres of the patient, and back; what can be measured of a marked region. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.geometry import PatientGeometry
from inference.localisation import Box, Contour

Points = NDArray[np.float64]

HALF = 0.5
"""Boxes and contours count edges of pixels, DICOM counts centres (PS3.3 §C.7.6.2.1.1): the first centre is half a pixel in."""
DIGITS = 3
"""Decimals of a pixel and of a millimetre: a thousandth, so that neither way there and back loses a hundredth."""
AREA_DIGITS, EXTENT_DIGITS = 1, 1
"""Decimals of a measured region: its border follows quarters of cells that are millimetres wide."""


@dataclass(frozen=True)
class Measured:
    """One quantity of a marked region; ``unit`` is a UCUM one."""

    name: str
    value: float
    unit: str


def contour_in_patient(line: Contour, where: PatientGeometry) -> Points:
    """Corners (n, 3) in millimetres of a contour in original columns and rows."""
    flat = np.array([(x - HALF, y - HALF, 0.0) for x, y in line], dtype=np.float64)
    return where.to_patient(flat.reshape(-1, 3))


def contour_in_image(points: Points, where: PatientGeometry) -> Contour:
    """Columns and rows of corners in millimetres that lie in the slice."""
    return tuple((float(x) + HALF, float(y) + HALF) for x, y, _ in where.to_voxel(points))


def box_in_patient(box: Box, where: PatientGeometry) -> Points:
    """The four corners (4, 3) of a box, clockwise from its upper left one."""
    x0, y0, x1, y1 = box
    return contour_in_patient(((x0, y0), (x1, y0), (x1, y1), (x0, y1)), where)


def area_mm2(line: Contour, where: PatientGeometry) -> float:
    """Area within a contour, in square millimetres of the slice."""
    along_row, along_column = where.matrix[:3, 0], where.matrix[:3, 1]
    return _area(line) * float(np.linalg.norm(np.cross(along_row, along_column)))


def measured(
    lines: Iterable[Contour], where: PatientGeometry | None, detector: tuple[float, float] | None
) -> tuple[Measured, ...]:
    """Area and longest extent of a marked region; nothing where the image has no scale.

    They are of what the model's map marks, a region to a quarter of a cell: not of the finding. On a projection they are
    millimetres on the detector, which magnifies by what nobody told; their names say so.

    Parameters
    ----------
    lines
        Outlines of its parts, in original columns and rows.
    where
        The slice in the patient.
    detector
        Millimetres per row and per column of a projection.
    """
    lines = tuple(lines)
    if not lines or (where is None and detector is None):
        return ()
    if where is not None:
        points = np.concatenate([contour_in_patient(line, where) for line in lines])
        area, suffix = sum(area_mm2(line, where) for line in lines), ""
    else:
        down, across = detector or (1.0, 1.0)
        points = np.concatenate([np.array(line, dtype=np.float64) * (across, down) for line in lines])
        area, suffix = sum(_area(line) for line in lines) * down * across, "_on_detector"
    extent = float(np.linalg.norm(points[:, None] - points[None, :], axis=2).max())
    return (
        Measured(f"marked_area{suffix}", round(area, AREA_DIGITS), "mm2"),
        Measured(f"marked_extent{suffix}", round(extent, EXTENT_DIGITS), "mm"),
    )


def _area(line: Contour) -> float:
    """Area within a contour, in pixels."""
    x, y = np.array(line, dtype=np.float64).T
    return 0.5 * abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1)))


def filled(lines: Iterable[Contour], rows: int, columns: int) -> NDArray[np.bool_]:
    """Pixels (row, column) whose centres lie within any of the outlines."""
    made = np.zeros((rows, columns), dtype=np.bool_)
    centres = np.arange(columns) + HALF
    for line in lines:
        x0, y0 = np.array(line, dtype=np.float64).T
        x1, y1 = np.roll(x0, -1), np.roll(y0, -1)
        for row in range(max(0, int(y0.min())), min(rows, int(np.ceil(y0.max())))):
            at = row + HALF
            crossed = (y0 <= at) != (y1 <= at)
            ratio = (at - y0[crossed]) / (y1[crossed] - y0[crossed])
            sides = np.sort(x0[crossed] + ratio * (x1[crossed] - x0[crossed]))
            made[row] |= np.searchsorted(sides, centres, side="right") % 2 == 1
    return made


def rounded(points: Iterable[Iterable[float]]) -> tuple[float, ...]:
    """Coordinates one after the other, as events carry them."""
    return tuple(round(float(value), DIGITS) for point in points for value in point)


def contour_of(flat: Iterable[float]) -> Contour:
    """Corners of an outline as events carry it."""
    values = tuple(flat)
    return tuple(zip(values[::2], values[1::2], strict=True))


def corners_of(flat: Iterable[float]) -> Points:
    """Points (n, 3) in millimetres as events carry them."""
    return np.array(tuple(flat), dtype=np.float64).reshape(-1, 3)
