"""Demonstration head CT model for bleeding, trained by this project on synthetic images only. Not for clinical use."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from inference.demonstration import demonstration
from inference.localisation import findings
from inference.pixels import frame_for_model
from inference.spec import Code, Reading, TensorSpec

SIDE, CELLS = 192, 24
"""Side of the image in pixels and of the class-activation map in cells."""

CODES = {
    "intracranial-hemorrhage": Code("1386000", "SCT", "Intracranial hemorrhage", verified=True),
    "epidural": Code("epidural-hemorrhage", "99RADSTREAM", "Epidural hemorrhage", verified=False),
    "subdural": Code("subdural-hemorrhage", "99RADSTREAM", "Subdural hemorrhage", verified=False),
    "subarachnoid": Code("subarachnoid-hemorrhage", "99RADSTREAM", "Subarachnoid hemorrhage", verified=False),
    "intraparenchymal": Code(
        "intraparenchymal-hemorrhage", "99RADSTREAM", "Intraparenchymal hemorrhage", verified=False
    ),
    "intraventricular": Code(
        "intraventricular-hemorrhage", "99RADSTREAM", "Intraventricular hemorrhage", verified=False
    ),
}
"""SNOMED CT where PS3.16 has the concept. Public sources contradict each other on the subtypes, so that they keep private codes,
said to be unverified, until a terminologist decides."""

SPEC = demonstration(
    Path(__file__),
    version=4,
    image=TensorSpec("image", "int16", (1, SIDE, SIDE), "chw"),
    cells=CELLS,
    codes=CODES,
    reading=Reading("hounsfield", template=""),
    modalities={"CT"},
    body_parts={"HEAD", "BRAIN", "SKULL"},
    unit="series",
    fewest=5,
)

preprocess = partial(frame_for_model, spec=SPEC)
"""DICOM file to the model's input, with its geometry; raises :class:`inference.spec.NotAcceptableError`."""

postprocess = partial(findings, SPEC)
"""``logits`` (L,) and ``cam`` (L, h, w) of one image, with its geometry, to one finding per label, in the order of the labels."""
