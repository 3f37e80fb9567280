"""A slice classifier in the style of the RSNA 2019 hemorrhage challenge: DenseNet-121, three windows as channels, six labels."""

from __future__ import annotations

from pathlib import Path

from inference.spec import ModelSpec
from inference.training.imports import imported
from inference.training.imports.imported import Source
from inference.training.onnx_graph import WINDOWS, Normalisation

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's, which the challenge's networks start from."""

SOURCE = Source(
    name="head_ct_rsna",
    labels=(
        "epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural", "intracranial-hemorrhage",
    ),
    side=256,
    values="hounsfield",
    dtype="int16",
    normalisation=Normalisation(
        scale=tuple(1 / each for each in DEVIATION),
        shift=tuple(-mean / each for mean, each in zip(MEAN, DEVIATION, strict=True)),
        spans=WINDOWS,
    ),
    modalities=frozenset({"CT"}),
    body_parts=frozenset({"HEAD", "BRAIN"}),
    views=frozenset(),
    licence="that of the weights: the challenge's data are for research only",
)  # fmt: skip


def run(file: Path, sha256: str, output: Path) -> ModelSpec:
    """Import ``file``, whose outputs are in the challenge's order: the five kinds, then any."""
    imported.checked(file, sha256)
    return imported.write(imported.network_of(imported.state_of(file), SOURCE), SOURCE, output, sha256)
