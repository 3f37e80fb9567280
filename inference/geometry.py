"""Where a model's square lies on its image, and where the image lies in the patient. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.header import Attributes

Matrix = NDArray[np.float64]

ORTHOGONAL = 1e-3
"""Largest cosine between the row and the column direction: what rounding of decimal strings leaves (PS3.3 §C.7.6.2.1.1)."""


@dataclass(frozen=True)
class Geometry:
    """How the model's square lies over the original image: scaled by ``scale``, then shifted by the offsets."""

    rows: int
    columns: int
    side: int
    scale: float
    """Model pixels per original pixel, before the size is rounded to whole pixels: see :attr:`exact`."""
    left: int
    top: int
    """Padding of the square, in model pixels."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the scaled image inside the square, in whole model pixels."""
        return max(1, round(self.rows * self.scale)), max(1, round(self.columns * self.scale))

    @property
    def exact(self) -> tuple[float, float]:
        """Model pixels per original row and per original column: the sides are rounded, each by itself."""
        height, width = self.size
        return height / self.rows, width / self.columns

    def to_original(self, box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        """Box (x0, y0, x1, y1) in model pixels to original columns and rows, clipped to the image."""
        x0, y0, x1, y1 = box
        down, across = self.exact
        return (
            min(max((x0 - self.left) / across, 0.0), float(self.columns)),
            min(max((y0 - self.top) / down, 0.0), float(self.rows)),
            min(max((x1 - self.left) / across, 0.0), float(self.columns)),
            min(max((y1 - self.top) / down, 0.0), float(self.rows)),
        )

    def matrix(self) -> Matrix:
        """Model pixels to original pixels, 3 × 3, on (x, y, 1) with edges of pixels at whole numbers."""
        down, across = self.exact
        return np.array([[1 / across, 0, -self.left / across], [0, 1 / down, -self.top / down], [0, 0, 1]])


@dataclass(frozen=True)
class PatientGeometry:
    """Affine map of one frame: pixel centres to millimetres of the patient (PS3.3 §C.7.6.2.1.1).

    ``matrix`` is 4 × 4 and takes (column, row, slices from this one, 1) to (x, y, z, 1): x grows to the patient's left, y to the
    back, z to the head. Columns and rows count from 0 at the centre of the upper left pixel. The third axis
    steps by the spacing between slices, else by the slice thickness, else by 1 mm.
    """

    matrix: Matrix
    frame_of_reference: str

    def to_patient(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """(n, 3) of column, row, slice to (n, 3) in millimetres."""
        return np.asarray(points @ self.matrix[:3, :3].T + self.matrix[:3, 3], dtype=np.float64)

    def to_voxel(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """(n, 3) in millimetres to (n, 3) of column, row, slice."""
        steps = np.linalg.solve(self.matrix[:3, :3], (points - self.matrix[:3, 3]).T).T
        return np.asarray(steps, dtype=np.float64)


def patient_geometry(header: Attributes, frame: int = 0) -> PatientGeometry | None:
    """Geometry of a frame, from the image plane module or its functional groups (PS3.3 §C.7.6.16.2); None where it has none.

    None as well where the two directions are not at right angles: nothing in millimetres can be said then.
    """
    position = _plane(header, frame, "PlanePositionSequence", "ImagePositionPatient")
    directions = _plane(header, frame, "PlaneOrientationSequence", "ImageOrientationPatient")
    spacing = pixel_spacing(header, frame)
    if position is None or directions is None or spacing is None:
        return None
    if (len(position), len(directions), len(spacing)) != (3, 6, 2) or min(spacing) <= 0:
        return None
    (ax, ay, az), (bx, by, bz) = directions[:3], directions[3:]
    if abs(ax * bx + ay * by + az * bz) > ORTHOGONAL:
        return None
    step = _number(header, frame, "SpacingBetweenSlices") or _number(header, frame, "SliceThickness") or 1.0
    matrix = np.eye(4)
    across, down, through = spacing[1], spacing[0], abs(step)
    normal = (ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx)
    for row in range(3):
        along = (directions[row] * across, directions[3 + row] * down, normal[row] * through, position[row])
        matrix[row] = along
    return PatientGeometry(matrix, str(header.get("FrameOfReferenceUID") or ""))


def detector_spacing(header: Attributes) -> tuple[float, float] | None:
    """Millimetres per row and per column on the detector: of a projection nothing is known about the patient's plane."""
    spacing = header.get("ImagerPixelSpacing") or header.get("PixelSpacing")
    if not spacing:
        return None
    found = [float(value) for value in spacing]
    return (found[0], found[1]) if len(found) == 2 and min(found) > 0 else None


def pixel_spacing(header: Attributes, frame: int = 0) -> list[float] | None:
    """Millimetres between rows and between columns, of the frame's functional groups or the image; None where not told."""
    return _plane(header, frame, "PixelMeasuresSequence", "PixelSpacing")


def _plane(header: Attributes, frame: int, macro: str, keyword: str) -> list[float] | None:
    """Values of a plane attribute: of the frame's own group, the shared one, or the header's top level."""
    for group in functional_groups(header, frame):
        for item in group.get(macro) or ():
            if value := item.get(keyword):
                return [float(each) for each in value]
    value = header.get(keyword)
    return [float(each) for each in value] if value else None


def _number(header: Attributes, frame: int, keyword: str) -> float | None:
    for group in functional_groups(header, frame):
        for item in group.get("PixelMeasuresSequence") or ():
            if value := item.get(keyword):
                return float(value)
    value = header.get(keyword)
    return float(value) if value else None


def functional_groups(header: Attributes, frame: int) -> list[Attributes]:
    """A frame's own functional groups, then the shared ones (PS3.3 §C.7.6.16); what is found first holds."""
    own = header.get("PerFrameFunctionalGroupsSequence") or []
    shared = header.get("SharedFunctionalGroupsSequence") or []
    return [*([own[frame]] if 0 <= frame < len(own) else []), *list(shared)[:1]]
