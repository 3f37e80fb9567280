"""What the imports share: weights that are what they are said to be, parity, and a model folder that Triton can serve."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from inference.golden import GOLDEN_SEED, golden_image
from inference.repository import render
from inference.spec import Code, Label, ModelSpec, Reading, TensorSpec, Values
from inference.training import densenet
from inference.training.densenet import DenseNet
from inference.training.onnx_graph import STATISTICS, Normalisation

PARITY = 1e-5
"""Largest difference between the exported graph and the network it came from, as a share of the largest logit above 1."""
PROBES = 4
"""Images that parity is checked on."""


class NotImportableError(Exception):
    """The file is not what the import reads. The message says what it is instead, and what to do."""


@dataclass(frozen=True)
class Source:
    """One network's contract: what it reads, what it says, under which terms."""

    name: str
    labels: tuple[str, ...]
    side: int
    values: Values
    dtype: str
    normalisation: Normalisation
    modalities: frozenset[str]
    body_parts: frozenset[str]
    views: frozenset[str]
    licence: str
    operating_points: tuple[float, ...] = ()
    """Published probability per label from which it counts as present; empty: .5 until calibrated on local data."""


def checked(file: Path, sha256: str) -> bytes:
    """The file's bytes; :class:`NotImportableError` unless their digest is the one given."""
    data = file.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != sha256.lower():
        raise NotImportableError(f"{file.name} has SHA-256 {found}, not the one you gave: do not use it")
    return data


def state_of(file: Path) -> dict[str, Tensor]:
    """Weights of a file that holds nothing but tensors; no code of the file runs."""
    try:
        held = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        raise NotImportableError(
            f"{file.name} holds more than tensors (a whole pickled module runs code when it is read). Where you trust it, "
            "load it yourself away from patients and save its state_dict(), then import that file."
        ) from error
    for key in ("state_dict", "model", "model_state_dict"):
        if isinstance(held, dict) and isinstance(held.get(key), dict):
            held = held[key]
    if not isinstance(held, dict) or not all(isinstance(value, Tensor) for value in held.values()):
        raise NotImportableError(f"{file.name} is not a dictionary of tensors")
    return held


def network_of(state: Mapping[str, Tensor], source: Source) -> DenseNet:
    """The DenseNet of these weights, with as many outputs as the source has labels."""
    try:
        network = densenet.loaded(state)
    except ValueError as error:
        raise NotImportableError(str(error)) from error
    if network.classifier.out_features != len(source.labels):
        raise NotImportableError(
            f"the network has {network.classifier.out_features} outputs, its source {len(source.labels)} labels"
        )
    return network


def write(network: DenseNet, source: Source, output: Path, weights_sha256: str) -> ModelSpec:
    """Write ``output/NAME.onnx``, ``NAME.json`` and a Triton repository, after the graph has answered as torch does.

    Raises :class:`NotImportableError` where it does not.
    """
    output.mkdir(parents=True, exist_ok=True)
    path = output / f"{source.name}.onnx"
    densenet.export(
        network,
        path,
        name=source.name,
        side=source.side,
        dtype=source.dtype,
        normalisation=source.normalisation,
    )
    difference = parity(network, source, path)
    if difference > PARITY:
        raise NotImportableError(f"the exported graph differs from the network by {difference:.1e}")
    session = onnxruntime.InferenceSession(str(path))
    image = golden_image(source.side).repeat(source.normalisation.inputs, axis=0).astype(source.dtype)
    golden = session.run(["logits"], {"image": image[None]})[0][0]
    spec = _spec(source, path, [round(float(v), 5) for v in golden], network.classifier.in_features)
    told = {
        "sha256": spec.sha256, "imported_from_sha256": weights_sha256, "parity": float(f"{difference:.1e}"),
        "golden": {"seed": GOLDEN_SEED, "logits": list(spec.golden_logits)}, "licence": source.licence,
        "calibration_version": spec.calibration_version, "pooling": "mean",
        "labels": {
            label.name: {"temperature": label.temperature, "bias": label.bias, "threshold": label.threshold}
            for label in spec.labels
        },
    }  # fmt: skip
    path.with_suffix(".json").write_text(json.dumps(told, indent=1) + "\n")
    render([spec], output / "triton")
    return spec


def parity(network: DenseNet, source: Source, path: Path) -> float:
    """Largest difference of logits and map between torch and the graph, over random images, relative to values above 1."""
    rng = np.random.default_rng(GOLDEN_SEED)
    low, high = (-1024, 2000) if source.dtype == "int16" else (0, np.iinfo(source.dtype).max)
    shape = (PROBES, source.normalisation.inputs, source.side, source.side)
    images = rng.integers(low, high, shape).astype(source.dtype)
    with torch.no_grad():
        logits, cam, _ = network(
            normalised(torch.from_numpy(images.astype(np.float32)), source.normalisation)
        )
    found = onnxruntime.InferenceSession(str(path)).run(["logits", "cam"], {"image": images})
    return max(_gap(ours, theirs.numpy()) for ours, theirs in zip(found, (logits, cam), strict=True))


def _gap(ours: Any, theirs: Any) -> float:
    return float((np.abs(ours - theirs) / np.maximum(1, np.abs(theirs))).max())


def normalised(image: Tensor, how: Normalisation) -> Tensor:
    """What :meth:`Normalisation.emit` writes, in torch."""
    x = image
    if how.spans:
        x = torch.cat([((x - low) / (high - low)).clamp(0, 1) for low, high in how.spans], dim=1)
    if how.repeated > 1:
        x = torch.cat([x] * how.repeated, dim=1)
    return x * _by_channel(how.scale) + _by_channel(how.shift)


def _by_channel(value: float | Sequence[float]) -> Tensor:
    return torch.tensor(value, dtype=torch.float32).reshape(1, -1, 1, 1)


def _spec(source: Source, path: Path, golden: list[float], width: int) -> ModelSpec:
    """Our contract for it: uncalibrated, and said to be so, with private codes until somebody verifies them."""
    points = source.operating_points or (0.5,) * len(source.labels)
    labels = tuple(
        Label(
            name,
            Code(name, "99RADSTREAM", name.replace("-", " ").capitalize(), verified=False),
            1.0,
            0.0,
            point,
        )
        for name, point in zip(source.labels, points, strict=True)
    )
    cells = source.side // 32
    return ModelSpec(
        name=source.name,
        version=1,
        file=path,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        inputs=(
            TensorSpec("image", source.dtype, (source.normalisation.inputs, source.side, source.side), "chw"),
        ),
        outputs=(
            TensorSpec("logits", "float32", (len(labels),), "l"),
            TensorSpec("cam", "float32", (len(labels), cells, cells), "lhw"),
            TensorSpec("embedding", "float32", (width,), "d"),
            TensorSpec("input_stats", "float32", (STATISTICS,), "d"),
        ),
        labels=labels,
        calibration_version="uncalibrated",
        max_batch_size=16,
        demonstration=False,
        intended_use="Imported weights: not calibrated and not accepted here. Not for clinical use.",
        licence=source.licence,
        modalities=source.modalities,
        body_parts=source.body_parts,
        views=source.views,
        minimum_age_years=18,
        golden_logits=tuple(golden),
        reading=Reading(source.values, reduced=source.values != "hounsfield"),
    )
