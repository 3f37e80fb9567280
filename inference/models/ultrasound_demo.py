"""Demonstration ultrasound model: exercises several frames and colour; trained on synthetic images only. Not for clinical use."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference import localisation, weights
from inference.localisation import Finding
from inference.pixels import Geometry, PixelFrame, frame_for_model
from inference.spec import Code, ModelSpec, Reading, TensorSpec

SIDE, CELLS = 128, 16
"""Side of the image in pixels and of the class-activation map in cells."""

CODES = {
    "cyst": Code("cyst", "99RADSTREAM", "Cyst", verified=False),
    "mass": Code("solid-mass", "99RADSTREAM", "Solid mass", verified=False),
}
"""Private codes, said to be unverified: the findings exist to exercise the system."""


def spec(file: Path) -> ModelSpec:
    """The specification of the weights in ``file``, with what training wrote beside them."""
    told = weights.read(file)
    labels = weights.labels(told, CODES)
    return ModelSpec(
        name="ultrasound_demo",
        version=1,
        file=file,
        sha256=told["sha256"],
        inputs=(TensorSpec("image", "uint8", (3, SIDE, SIDE), "chw"),),
        outputs=weights.outputs(len(labels), CELLS),
        labels=labels,
        calibration_version=told["calibration_version"],
        max_batch_size=16,
        demonstration=True,
        intended_use="Demonstration on synthetic images. Not for clinical use.",
        licence="Apache-2.0",
        modalities=frozenset({"US"}),
        body_parts=frozenset({"ABDOMEN", "BREAST", "LIVER"}),
        views=frozenset(),
        minimum_age_years=18,
        golden_logits=tuple(told["golden"]["logits"]),
        reading=Reading("colour", template=""),
        unit="image",
        pooling=tuple(told["pooling"]),
        multi_frame=True,
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
