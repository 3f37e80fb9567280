"""What training wrote beside a model's weights, as parts of its specification."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inference.spec import Code, Label, TensorSpec

EMBEDDING, STATISTICS = 48, 4
"""Numbers of the embedding, and of the statistics of the input (mean, deviation, mean step, skewness)."""


def read(file: Path) -> dict[str, Any]:
    """The JSON beside the weights in ``file``."""
    told: dict[str, Any] = json.loads(file.with_suffix(".json").read_text())
    return told


def labels(told: Mapping[str, Any], codes: Mapping[str, Code]) -> tuple[Label, ...]:
    """The labels with their codes, in the order of the graph's outputs."""
    return tuple(Label(name, codes[name], **calibrated) for name, calibrated in told["labels"].items())


def outputs(count: int, cells: int) -> tuple[TensorSpec, ...]:
    """The four outputs of a graph that this project trained."""
    return (
        TensorSpec("logits", "float32", (count,), "l"),
        TensorSpec("cam", "float32", (count, cells, cells), "lhw"),
        TensorSpec("embedding", "float32", (EMBEDDING,), "d"),
        TensorSpec("input_stats", "float32", (STATISTICS,), "d"),
    )
