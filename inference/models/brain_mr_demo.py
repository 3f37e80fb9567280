"""Demonstration brain MR model: routing, signal without a unit; trained on synthetic images only. Not for clinical use."""

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
    "lesion": Code("white-matter-lesion", "99RADSTREAM", "Bright lesion of white matter", verified=False),
}
"""A private code, said to be unverified: the finding exists to exercise the system."""


def spec(file: Path) -> ModelSpec:
    """The specification of the weights in ``file``, with what training wrote beside them."""
    told = weights.read(file)
    labels = weights.labels(told, CODES)
    return ModelSpec(
        name="brain_mr_demo",
        version=1,
        file=file,
        sha256=told["sha256"],
        inputs=(TensorSpec("image", "uint16", (1, SIDE, SIDE), "chw"),),
        outputs=weights.outputs(len(labels), CELLS),
        labels=labels,
        calibration_version=told["calibration_version"],
        max_batch_size=16,
        demonstration=True,
        intended_use="Demonstration on synthetic images. Not for clinical use.",
        licence="Apache-2.0",
        modalities=frozenset({"MR"}),
        body_parts=frozenset({"HEAD", "BRAIN"}),
        views=frozenset(),
        minimum_age_years=18,
        golden_logits=tuple(told["golden"]["logits"]),
        reading=Reading("signal", template=""),
        unit="image",
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
