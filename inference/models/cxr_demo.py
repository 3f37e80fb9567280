"""Demonstration chest X-ray model, trained by this project on synthetic images only. Not for clinical use."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from inference.demonstration import demonstration
from inference.localisation import findings
from inference.pixels import frame_for_model
from inference.spec import Code, Reading, TensorSpec

SIDE, CELLS = 256, 32
"""Side of the image in pixels and of the class-activation map in cells."""

CODES = {
    "nodule": Code("27925004", "SCT", "Nodule", verified=True),
    "pneumothorax": Code("36118008", "SCT", "Pneumothorax", verified=True),
    "effusion": Code("60046008", "SCT", "Pleural effusion", verified=True),
    "consolidation": Code("consolidation", "99RADSTREAM", "Consolidation of lung", verified=False),
    "cardiomegaly": Code("cardiomegaly", "99RADSTREAM", "Cardiomegaly", verified=False),
}
"""SNOMED CT where PS3.16 has the concept, else a private code, said to be unverified. For cardiomegaly the dictionary
gives a code (287272002) that SNOMED CT itself defines as a defect of the heart's septum: it waits for a terminologist."""

SPEC = demonstration(
    Path(__file__),
    version=4,
    image=TensorSpec("image", "uint16", (1, SIDE, SIDE), "chw"),
    cells=CELLS,
    codes=CODES,
    reading=Reading("density"),
    modalities={"DX", "CR"},
    body_parts={"CHEST", "THORAX"},
    views={"PA", "AP"},
)

preprocess = partial(frame_for_model, spec=SPEC)
"""DICOM file to the model's input, with its geometry; raises :class:`inference.spec.NotAcceptableError`."""

postprocess = partial(findings, SPEC)
"""``logits`` (L,) and ``cam`` (L, h, w) of one image, with its geometry, to one finding per label, in the order of the labels."""
