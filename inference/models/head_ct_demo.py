"""Demonstration head CT model for bleeding, trained by this project on synthetic images only. Not for clinical use."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference import localisation, weights
from inference.localisation import Finding
from inference.pixels import Geometry, PixelFrame, frame_for_model
from inference.spec import Code, ModelSpec, Reading, TensorSpec

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


def spec(file: Path) -> ModelSpec:
    """The specification of the weights in ``file``, with what training wrote beside them."""
    told = weights.read(file)
    labels = weights.labels(told, CODES)
    return ModelSpec(
        name="head_ct_demo",
        version=1,
        file=file,
        sha256=told["sha256"],
        inputs=(TensorSpec("image", "int16", (1, SIDE, SIDE), "chw"),),
        outputs=weights.outputs(len(labels), CELLS),
        labels=labels,
        calibration_version=told["calibration_version"],
        max_batch_size=16,
        demonstration=True,
        intended_use="Demonstration on synthetic images. Not for clinical use.",
        licence="Apache-2.0",
        modalities=frozenset({"CT"}),
        body_parts=frozenset({"HEAD", "BRAIN", "SKULL"}),
        views=frozenset(),
        minimum_age_years=18,
        golden_logits=tuple(told["golden"]["logits"]),
        reading=Reading("hounsfield", template=""),
        unit="series",
        fewest=5,
        pooling=tuple(told["pooling"]),
    )


SPEC = spec(Path(__file__).with_suffix(".onnx"))


def preprocess(data: bytes) -> PixelFrame:
    """DICOM file to the model's input, with the geometry that :func:`postprocess` needs.

    Raises :class:`inference.spec.NotAcceptableError`.
    """
    return frame_for_model(data, SPEC)


def postprocess(outputs: Mapping[str, NDArray[np.floating]], geometry: Geometry) -> tuple[Finding, ...]:
    """One finding per label from ``logits`` (L,) and ``cam`` (L, h, w) of one image, in the order of the labels."""
    return localisation.findings(SPEC, outputs["logits"], outputs["cam"], geometry)
