"""Demonstration brain MR model: routing, signal without a unit; trained on synthetic images only. Not for clinical use."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from inference.demonstration import demonstration
from inference.localisation import findings
from inference.pixels import frame_for_model
from inference.spec import Code, Reading, TensorSpec

SIDE, CELLS = 128, 16
"""Side of the image in pixels and of the class-activation map in cells."""

CODES = {
    "lesion": Code("white-matter-lesion", "99RADSTREAM", "Bright lesion of white matter", verified=False),
}
"""A private code, said to be unverified: the finding exists to exercise the system."""

SPEC = demonstration(
    Path(__file__),
    version=3,
    image=TensorSpec("image", "uint16", (1, SIDE, SIDE), "chw"),
    cells=CELLS,
    codes=CODES,
    reading=Reading("signal", template=""),
    modalities={"MR"},
    body_parts={"HEAD", "BRAIN"},
)

preprocess = partial(frame_for_model, spec=SPEC)
"""DICOM file to the model's input, with its geometry; raises :class:`inference.spec.NotAcceptableError`."""

postprocess = partial(findings, SPEC)
"""``logits`` (L,) and ``cam`` (L, h, w) of one image, with its geometry, to one finding per label, in the order of the labels."""
