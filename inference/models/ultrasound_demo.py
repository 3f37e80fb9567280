"""Demonstration ultrasound model: exercises several frames and colour; trained on synthetic images only. Not for clinical use."""

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
    "cyst": Code("cyst", "99RADSTREAM", "Cyst", verified=False),
    "mass": Code("solid-mass", "99RADSTREAM", "Solid mass", verified=False),
}
"""Private codes, said to be unverified: the findings exist to exercise the system."""

SPEC = demonstration(
    Path(__file__),
    version=1,
    image=TensorSpec("image", "uint8", (3, SIDE, SIDE), "chw"),
    cells=CELLS,
    codes=CODES,
    reading=Reading("colour", template=""),
    modalities={"US"},
    body_parts={"ABDOMEN", "BREAST", "LIVER"},
    multi_frame=True,
)

preprocess = partial(frame_for_model, spec=SPEC)
"""DICOM file to the model's input, with its geometry; raises :class:`inference.spec.NotAcceptableError`."""

postprocess = partial(findings, SPEC)
"""``logits`` (L,) and ``cam`` (L, h, w) of one image, with its geometry, to one finding per label, in the order of the labels."""
