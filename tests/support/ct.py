"""CT slices of a head made of two ellipses, for what needs Hounsfield units and no anatomy."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray

from tests.support.xray import xray


def head(seed: int, *, offset: float = 0.0, noise: float = 4.0, side: int = 128) -> NDArray[np.int16]:
    """Whole Hounsfield units: air, skull, brain that differs from patient to patient, noise."""
    rng = np.random.default_rng([0xC7, seed])
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    radius = np.hypot(x / rng.uniform(0.66, 0.74), y / rng.uniform(0.82, 0.9))
    brain = rng.normal(34, 1.5) + 5 * np.sin(9 * x + seed) * np.cos(7 * y)
    units = np.where(radius < 0.92, brain, np.where(radius < 1, 950.0, -1000.0)) + offset
    own = abs(rng.normal(noise, 0.5))
    return np.rint(np.maximum(units + rng.normal(0, own, units.shape), -1024)).astype(np.int16)


def ct(values: NDArray[np.int16], **changes: Any) -> bytes:
    """A CT file of these Hounsfield units: 12 bits, intercept -1024."""
    stored = (np.clip(values, -1024, 3071).astype(np.int32) + 1024).astype(np.uint16)
    elements = {
        "Modality": "CT", "BodyPartExamined": "HEAD", "ViewPosition": "", "Rows": stored.shape[0],
        "Columns": stored.shape[1], "RescaleSlope": "1", "RescaleIntercept": "-1024", "RescaleType": "HU",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "PixelSpacing": [0.9, 0.9], "SliceThickness": "5",
        "ImagePositionPatient": [-60.5, -70.25, 30], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "PixelData": stored.tobytes(),
    }  # fmt: skip
    made = pydicom.dcmread(io.BytesIO(xray(**(elements | changes))))
    for keyword in [keyword for keyword, value in changes.items() if value is None]:
        delattr(made, keyword)
    out = io.BytesIO()
    made.save_as(out)
    return out.getvalue()
