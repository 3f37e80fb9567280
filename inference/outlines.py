"""The lines that documents draw of a published finding, and the codes of what was measured of its marked region. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from inference import placement
from schemas.events import Box, Finding, Outline

Corners = NDArray[np.float64]
"""Corners of a closed line, the first one again as the last: (n, 2) in pixels or (n, 3) in millimetres."""

SCHEME = "99RADSTREAM"
MARKED = {
    "marked_area": Code("marked-area", SCHEME, "Area of the marked region"),
    "marked_extent": Code("marked-extent", SCHEME, "Longest extent of the marked region"),
    "marked_area_on_detector": Code(
        "marked-area-on-detector", SCHEME, "Area of the marked region on the detector"
    ),
    "marked_extent_on_detector": Code(
        "marked-extent-on-detector", SCHEME, "Longest extent of the marked region on the detector"
    ),
}
"""Measurements of the region that a map marks: private codes, since none of the standard's says that it is not the finding."""
UNITS = {"mm": codes.UCUM.Millimeter, "mm2": codes.UCUM.SquareMillimeter}
"""UCUM units of those."""


def on_image(finding: Finding, box: Box) -> Corners:
    """Outline of a finding of one part, else its box: the centre of the first pixel at 0.5 (PS3.3 §C.18.6.1.1)."""
    whole = _whole(finding)
    return _box(box) if whole is None else _pixels(whole)


def in_patient(finding: Finding) -> Corners | None:
    """The same in millimetres of the patient; None where the image does not say where it lies."""
    whole = _whole(finding)
    corners = placement.corners_of(finding.box_patient if whole is None else whole.patient)
    return _closed(corners) if len(corners) else None


def drawn(finding: Finding, box: Box) -> list[Corners]:
    """Every outline of a finding, else its box, on the image."""
    return [_pixels(each) for each in finding.outlines] or [_box(box)]


def _whole(finding: Finding) -> Outline | None:
    return finding.outlines[0] if len(finding.outlines) == 1 else None


def _pixels(outline: Outline) -> Corners:
    return _closed(np.array(placement.contour_of(outline.pixels), dtype=np.float64))


def _box(box: Box) -> Corners:
    left, top, right, bottom = box.x, box.y, box.x + box.width, box.y + box.height
    return _closed(np.array([[left, top], [right, top], [right, bottom], [left, bottom]], dtype=np.float64))


def _closed(corners: Corners) -> Corners:
    return np.concatenate([corners, corners[:1]])
