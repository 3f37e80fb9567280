"""A classifier from a MONAI bundle: a folder with `configs/metadata.json`, `configs/inference.json` and `models/model.pt`.

Read are bundles whose network is a two-dimensional DenseNet121; of others the import says what they hold.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from inference.spec import ModelSpec
from inference.training.imports import imported
from inference.training.imports.imported import NotImportableError, Source
from inference.training.onnx_graph import Normalisation

WEIGHTS = Path("models/model.pt")
BODY_PARTS = frozenset({"CHEST", "THORAX"})


def run(folder: Path, sha256: str, output: Path) -> ModelSpec:
    """Import the bundle in ``folder``; ``sha256`` is that of its weights."""
    imported.checked(folder / WEIGHTS, sha256)
    source = described(
        _json(folder / "configs" / "metadata.json"), _json(folder / "configs" / "inference.json")
    )
    network = imported.network_of(imported.state_of(folder / WEIGHTS), source)
    return imported.write(network, source, output, sha256)


def described(metadata: dict[str, Any], inference: dict[str, Any]) -> Source:
    """The contract that a bundle's own description gives; :class:`NotImportableError` for networks that are not read."""
    network = inference.get("network_def") or {}
    kind = str(network.get("_target_", "")).rsplit(".", 1)[-1]
    if kind.lower() != "densenet121" or network.get("spatial_dims") != 2:
        raise NotImportableError(
            f"the bundle's network is {kind or 'not described'}; a 2-D DenseNet121 is read"
        )
    try:
        return _source(metadata, int(network["in_channels"]))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise NotImportableError(
            "the bundle's metadata.json and inference.json do not say what an import needs: a name, the input's spatial_shape "
            "and value_range, the prediction's channel_def, the network's in_channels"
        ) from error


def _source(metadata: dict[str, Any], channels: int) -> Source:
    formats = metadata["network_data_format"]
    image, predicted = formats["inputs"]["image"], formats["outputs"]["pred"]
    names = predicted["channel_def"]
    labels = tuple(str(names[key]).lower().replace(" ", "-") for key in sorted(names, key=int))
    low, high = (float(v) for v in image["value_range"])
    if not low < high:
        raise ValueError("an empty range of values")
    modality = str(image.get("modality", "")).upper()
    modalities = {"DX", "CR"} if modality in {"XR", "X-RAY", "XRAY", "CR", "DX"} else {modality}
    return Source(
        name="monai_" + re.sub(r"\W+", "_", str(metadata["name"]).lower()),
        labels=labels,
        side=int(image["spatial_shape"][0]),
        values="density",
        dtype="uint16",
        normalisation=Normalisation(scale=(high - low) / 65535, shift=low, repeated=channels),
        modalities=frozenset(modalities),
        body_parts=BODY_PARTS,
        views=frozenset({"PA", "AP"}),
        licence=str(metadata.get("license", "see the bundle's LICENSE")),
    )


def _json(file: Path) -> dict[str, Any]:
    try:
        told: dict[str, Any] = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise NotImportableError(f"no readable {file.name} in the bundle") from error
    return told
