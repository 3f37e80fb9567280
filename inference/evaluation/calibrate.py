"""What is decided on calibration images, once per version of the weights: all that stands between a logit and a word."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from inference.evaluation import conformal, metrics, regions
from inference.evaluation.measure import Answer, answers, figures, session_of
from inference.golden import GOLDEN_SEED, golden_image
from inference.spec import Code, Label, ModelSpec
from inference.training import seeds
from inference.training.recipe import Recipe, digest

SPECIFICITY = 0.97
"""Operating point of every label on the calibration images: few false alarms, as a queue needs."""
LEAST_THRESHOLD = 0.3
"""Never call a finding present that is so unlikely, however easily the synthetic classes come apart."""
DIGEST_OF = 16
"""Training images whose digest is written down: enough to see that another machine makes the same ones, few enough to test."""


def calibrated(recipe: Recipe, found: Sequence[Answer]) -> dict[str, dict[str, Any]]:
    """Calibration, operating point, classes and region border of each label, as the model's JSON has them."""
    told = {}
    for i, name in enumerate(recipe.labels):
        logits, truth = np.array([a.logits[i] for a in found]), np.array([a.truth[i] for a in found])
        temperature, bias, floor = (round(v, 6) for v in metrics.fit_calibration(logits, truth))
        curve = replace(blank(name), temperature=temperature, bias=bias, floor=floor)
        p = np.array([curve.probability(float(logit)) for logit in logits])
        threshold = max(LEAST_THRESHOLD, metrics.threshold_for_specificity(p, truth, SPECIFICITY))
        bounds = conformal.bounds(p, truth)
        pairs = [
            (answer.cams[i], mask)
            for answer, probability in zip(found, p, strict=True)
            if (mask := answer.masks[i]) is not None and probability >= threshold
        ]
        border, scattered = regions.best_border(blank(name), pairs)
        told[name] = {
            "temperature": temperature,
            "bias": bias,
            "floor": floor,
            "threshold": round(threshold, 6),
            "conformal": True,
            "high_from": None if bounds.high_from is None else round(max(bounds.high_from, threshold), 6),
            "low_below": None if bounds.low_below is None else round(min(bounds.low_below, threshold), 6),
            "border": border,
            "scattered": scattered,
        }
    return told


def blank(name: str) -> Label:
    """A label before its calibration."""
    return Label(name, Code(name, "99RADSTREAM", name, verified=False), 1.0, 0.0, 0.5)


def described(weights: bytes, recipe: Recipe, pooling: Sequence[float], cpu_seconds: float) -> dict[str, Any]:
    """The JSON beside the weights, without the figures that :func:`measured` adds."""
    found = answers(weights, recipe, pooling, seeds.calibration(recipe.calibration_units))
    image = golden_image(recipe.side).repeat(recipe.channels, axis=0).astype(recipe.dtype)
    golden = session_of(weights).run(["logits"], {"image": image[None]})[0][0]
    used = {
        "training": seeds.training(recipe.training_images),
        "calibration": seeds.calibration(recipe.calibration_units),
        "test": seeds.measuring(recipe.test_units, None),
    }
    return {
        "sha256": hashlib.sha256(weights).hexdigest(),
        "calibration_version": "3",
        "generator_version": recipe.generator_version,
        "epochs": recipe.epochs,
        "seeds": {name: [each.start, each.stop] for name, each in used.items()},
        "data_digest": digest(recipe, seeds.training(recipe.training_images)[:DIGEST_OF]),
        "golden": {"seed": GOLDEN_SEED, "logits": [round(float(v), 5) for v in golden]},
        "training_cpu_seconds": round(cpu_seconds),
        "pooling": [round(v, 7) for v in pooling],
        "labels": calibrated(recipe, found),
    }


def measured(spec: ModelSpec, recipe: Recipe, count: int, seed: int | None = None) -> dict[str, Any]:
    """Figures of ``count`` units: of the test seeds, or of those of an evaluation of the caller's own."""
    found = answers(spec.weights(), recipe, spec.pooling, seeds.measuring(count, seed))
    return {**figures(spec, recipe, found), "seed": seed}


def with_labels(spec: ModelSpec, weights: Path, told: dict[str, Any]) -> ModelSpec:
    """A specification with what was just written for it."""
    labels = tuple(
        Label(label.name, label.code, **told["labels"][label.name]) if label.name in told["labels"] else label
        for label in spec.labels
    )
    return replace(spec, file=weights, sha256=told["sha256"], labels=labels, pooling=tuple(told["pooling"]))


def write(path: Path, told: dict[str, Any]) -> None:
    """Save a model's JSON."""
    path.write_text(json.dumps(told, indent=1) + "\n")
