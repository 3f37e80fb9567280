"""From the pixels of one slice to millimetres of the patient, and back. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inference.geometry import PatientGeometry
from inference.localisation import Box, Contour

Points = NDArray[np.float64]

HALF = 0.5
"""Boxes and contours count edges of pixels, DICOM counts centres (PS3.3 §C.7.6.2.1.1): the first centre is half a pixel in."""


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
    x, y = np.array(line, dtype=np.float64).T
    pixels = 0.5 * abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1)))
    along_row, along_column = where.matrix[:3, 0], where.matrix[:3, 1]
    return pixels * float(np.linalg.norm(np.cross(along_row, along_column)))
