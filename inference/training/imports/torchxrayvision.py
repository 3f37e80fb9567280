"""torchxrayvision's DenseNet-121 for chest X-rays (mlmed/torchxrayvision), from a state dict of its weights.

Raw logits are exported: the library's own outputs are rescaled so that its operating point lies at .5, and are no
probabilities. Heads without a name were never trained and are left out.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from torch import Tensor

from inference.spec import ModelSpec
from inference.training.imports import imported
from inference.training.imports.imported import NotImportableError, Source
from inference.training.onnx_graph import Normalisation

PATHOLOGIES = (
    "atelectasis", "consolidation", "infiltration", "pneumothorax", "edema", "emphysema", "fibrosis", "effusion",
    "pneumonia", "pleural-thickening", "cardiomegaly", "nodule", "mass", "hernia", "lung-lesion", "fracture",
    "lung-opacity", "enlarged-cardiomediastinum",
)  # fmt: skip
"""The library's order of its 18 outputs, which its releases share."""

SOURCE = Source(
    name="cxr_torchxrayvision",
    labels=PATHOLOGIES,
    side=224,
    values="density",
    dtype="uint16",
    normalisation=Normalisation(scale=2048 / 65535, shift=-1024.0),
    modalities=frozenset({"DX", "CR"}),
    body_parts=frozenset({"CHEST", "THORAX"}),
    views=frozenset({"PA", "AP"}),
    licence="Apache-2.0 (library); weights under the terms of the data they were trained on",
)


def run(file: Path, sha256: str, output: Path) -> ModelSpec:
    """Import ``file``; :class:`NotImportableError` says why it cannot be."""
    imported.checked(file, sha256)
    state = imported.state_of(file)
    points = operating_points(state)
    network = imported.network_of({key: value for key, value in state.items() if key != "op_threshs"}, SOURCE)
    return imported.write(network, replace(SOURCE, operating_points=points), output, sha256)


def operating_points(state: dict[str, Tensor]) -> tuple[float, ...]:
    """The published thresholds on sigmoid(logit), where the file has them; .5 for a head without one."""
    told = state.get("op_threshs")
    if told is None:
        return ()
    if told.numel() != len(PATHOLOGIES):
        raise NotImportableError(f"{told.numel()} operating points for {len(PATHOLOGIES)} labels")
    return tuple(float(v) if 0 < float(v) < 1 else 0.5 for v in told)
