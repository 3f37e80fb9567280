"""A model whose answers a test writes: the real contract, no weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference import localisation
from inference.localisation import Finding
from inference.pixels import Geometry, PixelFrame
from inference.spec import Code, Label, ModelSpec, NotAcceptableError
from tests.support.events import digest

LABELS = ("effusion", "pneumothorax")
SIDE, CELLS = 8, 2
REFUSED = b"refused"
"""A file that the model's input contract refuses."""

SPEC = ModelSpec(
    name="scripted",
    version=1,
    file=Path("scripted.onnx"),
    sha256=digest("weights"),
    inputs=(),
    outputs=(),
    labels=tuple(
        Label(name, Code(name, "99RADSTREAM", name, verified=False), temperature=1.0, bias=0.0, threshold=0.5)
        for name in LABELS
    ),
    calibration_version="c1",
    max_batch_size=4,
    demonstration=True,
    intended_use="Tests.",
    licence="Apache-2.0",
    modalities=frozenset({"DX", "CR"}),
    body_parts=frozenset({"CHEST"}),
    views=frozenset({"PA", "AP"}),
    minimum_age_years=18,
    golden_logits=(),
)


def preprocess(data: bytes) -> PixelFrame:
    """The first byte, all over the model's square; `REFUSED` is refused."""
    if data == REFUSED:
        raise NotAcceptableError("wrong view")
    tensor = np.full((1, SIDE, SIDE), data[0], dtype=np.uint16)
    return PixelFrame(tensor, Geometry(rows=16, columns=16, side=SIDE, scale=0.5, left=0, top=0))


def postprocess(outputs: Mapping[str, NDArray[np.floating]], geometry: Geometry) -> tuple[Finding, ...]:
    """As every model does."""
    return localisation.findings(SPEC, outputs, geometry)


def outputs(effusion: float, pneumothorax: float) -> dict[str, NDArray[np.float32]]:
    """Outputs with these logits; the map is strong in its first cell."""
    cam = np.full((len(LABELS), CELLS, CELLS), -8, dtype=np.float32)
    cam[:, 0, 0] = 8
    return {"logits": np.array([effusion, pneumothorax], dtype=np.float32), "cam": cam}
