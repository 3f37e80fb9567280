"""The specification of a model that this project trained: what its file says, and what training wrote beside its weights."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from inference.spec import Code, Label, ModelSpec, Reading, TensorSpec

EMBEDDING, STATISTICS = 48, 4
"""Numbers of the embedding, and of the statistics of the input (mean, deviation, mean step, skewness)."""
BATCH = 16
"""Most images of one request: more leave the processor's caches."""


def read(file: Path) -> dict[str, Any]:
    """The JSON beside the weights in ``file``."""
    told: dict[str, Any] = json.loads(file.with_suffix(".json").read_text())
    return told


def demonstration(
    model: Path,
    *,
    version: int,
    image: TensorSpec,
    cells: int,
    codes: Mapping[str, Code],
    reading: Reading,
    modalities: Iterable[str],
    body_parts: Iterable[str],
    views: Iterable[str] = (),
    unit: Literal["image", "series"] = "image",
    fewest: int = 1,
    multi_frame: bool = False,
) -> ModelSpec:
    """The specification of the model whose file is ``model``; weights and their JSON lie beside it under the same name.

    Parameters
    ----------
    image
        The one input.
    cells
        Side of the class-activation map in cells.
    codes
        The code of each label.
    """
    file = model.with_suffix(".onnx")
    told = read(file)
    labels = tuple(Label(name, codes[name], **calibrated) for name, calibrated in told["labels"].items())
    return ModelSpec(
        name=file.stem,
        version=version,
        file=file,
        sha256=told["sha256"],
        inputs=(image,),
        outputs=_outputs(len(labels), cells),
        labels=labels,
        calibration_version=told["calibration_version"],
        max_batch_size=BATCH,
        demonstration=True,
        intended_use="Demonstration on synthetic images. Not for clinical use.",
        licence="Apache-2.0",
        modalities=frozenset(modalities),
        body_parts=frozenset(body_parts),
        views=frozenset(views),
        minimum_age_years=18,
        golden_logits=tuple(told["golden"]["logits"]),
        reading=reading,
        unit=unit,
        pooling=tuple(told["pooling"]),
        fewest=fewest,
        multi_frame=multi_frame,
    )


def _outputs(count: int, cells: int) -> tuple[TensorSpec, ...]:
    return (
        TensorSpec("logits", "float32", (count,), "l"),
        TensorSpec("cam", "float32", (count, cells, cells), "lhw"),
        TensorSpec("embedding", "float32", (EMBEDDING,), "d"),
        TensorSpec("input_stats", "float32", (STATISTICS,), "d"),
    )
