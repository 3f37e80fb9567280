"""Run a model over synthetic units and state the figures of its card. Needs ONNX Runtime only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from inference.aggregation import series_logit
from inference.evaluation import metrics, regions
from inference.spec import Label, ModelSpec
from inference.training.recipe import Example, Recipe, Unit

DIGITS = 4
"""Decimals of a figure: more would claim a precision that no number of images here has."""


@dataclass(frozen=True)
class Answer:
    """What the model said of one unit, and what was true; ``cams`` and ``masks`` by label, of the slice that speaks for it."""

    seed: int
    logits: NDArray[np.float32]
    truth: NDArray[np.bool_]
    cams: NDArray[np.float32] = field(repr=False)
    """Logits of the map, (L, h, w)."""
    masks: tuple[NDArray[np.bool_] | None, ...] = field(repr=False)
    """None also where a finding is there but shows too little of itself to be marked."""
    spoke: tuple[int, ...]
    """Position, by label, of that slice in the unit."""
    pooled_error: float
    """Largest difference between a logit and its pooled map."""
    attributes: dict[str, float] = field(repr=False)


def session_of(weights: bytes) -> onnxruntime.InferenceSession:
    """A session on one thread, as every figure is stated for."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(weights, options, providers=["CPUExecutionProvider"])


def pooled(cam: NDArray[np.floating], sharpness: Sequence[float]) -> NDArray[np.float64]:
    """Logits (L,) of a map (L, h, w) by each label's soft maximum."""
    told = np.empty(len(sharpness))
    for i, sharp in enumerate(sharpness):
        scaled = cam[i].astype(np.float64) * sharp
        top = scaled.max()
        told[i] = (top + np.log(np.exp(scaled - top).mean())) / sharp
    return told


def answers(weights: bytes, recipe: Recipe, pooling: Sequence[float], wanted: Iterable[int]) -> list[Answer]:
    """What the model says of every seed's unit."""
    session = session_of(weights)
    return [_answer(session, recipe, pooling, seed, recipe.unit(seed)) for seed in wanted]


def _answer(
    session: onnxruntime.InferenceSession, recipe: Recipe, pooling: Sequence[float], seed: int, unit: Unit
) -> Answer:
    outputs = [session.run(["logits", "cam"], {"image": example.image[None]}) for example in unit]
    logits = np.stack([out[0][0] for out in outputs])
    maps = np.stack([out[1][0] for out in outputs])
    errors = [np.abs(pooled(cam, pooling) - logit).max() for cam, logit in zip(maps, logits, strict=True)]
    speaks = logits.argmax(axis=0)
    labels = range(len(recipe.labels))
    return Answer(
        seed=seed,
        logits=np.array([series_logit(logits[:, i]) for i in labels], dtype=np.float32),
        truth=np.array([any(name in example.masks for example in unit) for name in recipe.labels]),
        cams=np.stack([maps[speaks[i], i] for i in labels]),
        masks=tuple(_marked(unit[speaks[i]], recipe.labels[i]) for i in labels),
        spoke=tuple(int(each) for each in speaks),
        pooled_error=float(max(errors)),
        attributes=_attributes(unit),
    )


def _marked(example: Example, name: str) -> NDArray[np.bool_] | None:
    """Where the finding is; None where it shows too little of itself to be marked anywhere."""
    mask = example.masks.get(name)
    return mask if mask is not None and mask.any() else None


def _attributes(unit: Unit) -> dict[str, float]:
    """Of a series, those of its middle slice."""
    middle: Example = unit[len(unit) // 2]
    return dict(middle.attributes)


def figures(spec: ModelSpec, recipe: Recipe, found: Sequence[Answer]) -> dict[str, Any]:
    """All figures of a set of answers, as plain JSON."""
    logits, truth = np.stack([a.logits for a in found]), np.stack([a.truth for a in found])
    told = {
        name: _label(spec.label(name), logits[:, i], truth[:, i], found, i)
        for i, name in enumerate(recipe.labels)
    }
    areas = [each["auroc"]["value"] for each in told.values() if each["auroc"] is not None]
    made: dict[str, Any] = {
        "name": spec.name,
        "version": spec.version,
        "digest": spec.digest,
        "unit": spec.unit,
        "n": len(found),
        "auroc_mean": _rounded(float(np.mean(areas))) if areas else None,
        "auroc": {name: each["auroc"] for name, each in told.items()},
        "ece": _rounded(float(np.mean([each["ece"] for each in told.values()]))),
        "ece_worst": max(each["ece"] for each in told.values()),
        "pooled_map_error": float(f"{max(a.pooled_error for a in found):.1e}"),
        "all_labels": _all_boxes(each["localisation"] for each in told.values()),
        "labels": {name: {k: v for k, v in each.items() if k != "auroc"} for name, each in told.items()},
        "subgroups": subgroups(spec, recipe, found),
    }
    if recipe.froc_label:
        made["froc"] = _froc(recipe, found)
    return made


def _label(
    label: Label, logits: NDArray[np.floating], truth: NDArray[np.bool_], found: Sequence[Answer], i: int
) -> dict[str, Any]:
    p = np.array([label.probability(float(v)) for v in logits])
    raw = metrics.sigmoid(logits)
    return {
        "auroc": area(p, truth),
        "positives": int(truth.sum()),
        "ece": _rounded(metrics.calibration_error(p, truth)),
        "ece_chance": _rounded(metrics.chance_error(p)),
        "ece_raw": _rounded(metrics.calibration_error(raw, truth)),
        "brier": _rounded(float(np.mean((p - truth) ** 2))),
        "sensitivity": _share((p >= label.threshold)[truth]),
        "specificity": _share((p < label.threshold)[~truth]),
        "conformal": _conformal(label, p, truth),
        "localisation": _localisation(label, p, found, i),
        "reliability": [[_rounded(m), _rounded(s), n] for m, s, n in metrics.reliability(p, truth)],
    }


def area(scores: NDArray[np.floating], truth: NDArray[np.bool_]) -> dict[str, float] | None:
    """AUROC with its 95 % bootstrap interval; None without one of each."""
    if truth.all() or not truth.any():
        return None
    low, high = metrics.bootstrap_interval(scores, truth)
    return {"value": _rounded(metrics.auroc(scores, truth)), "low": _rounded(low), "high": _rounded(high)}


def _conformal(label: Label, p: NDArray[np.floating], truth: NDArray[np.bool_]) -> dict[str, Any]:
    """How often each class is given and right; None where there is no such class."""
    high = p >= label.high_from if label.high_from is not None else np.zeros(len(p), dtype=bool)
    low = p < label.low_below if label.low_below is not None else np.zeros(len(p), dtype=bool)
    return {
        "high": _share(high) if label.high_from is not None else None,
        "ppv": _share(truth[high]),
        "low": _share(low) if label.low_below is not None else None,
        "npv": _share(~truth[low]),
        "uncertain": _share(~high & ~low),
    }


def _localisation(label: Label, p: NDArray[np.floating], found: Sequence[Answer], i: int) -> dict[str, Any]:
    """Over all positives for pointing and overlap; over true positives, which are the ones boxed, for the boxes."""
    compared, boxed = [], []
    for answer, probability in zip(found, p, strict=True):
        mask = answer.masks[i]
        if mask is None:
            continue
        one = regions.compare(answer.cams[i], mask, label)
        compared.append(one)
        if probability >= label.threshold:
            boxed.append(one.box_error <= 1)
    return {
        "pointing": _share(np.array([one.pointed for one in compared])),
        "iou": _rounded(float(np.mean([one.overlap for one in compared]))) if compared else None,
        "boxes": len(boxed),
        "box_within_a_cell": _share(np.array(boxed)),
    }


def _all_boxes(found: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Boxes of all labels together: how many, and which share lies within a cell."""
    counted = [(each["boxes"], each["box_within_a_cell"]) for each in found if each["boxes"]]
    count = sum(boxes for boxes, _ in counted)
    near = sum(boxes * share for boxes, share in counted)
    return {"boxes": count, "box_within_a_cell": _rounded(near / count) if count else None}


def subgroups(spec: ModelSpec, recipe: Recipe, found: Sequence[Answer]) -> list[dict[str, Any]]:
    """Mean AUROC in the lower and the upper half of each of the generator's numbers, and by how plainly findings show."""
    told = []
    for name in recipe.subgroups:
        values = np.array([answer.attributes[name] for answer in found])
        middle = float(np.median(values)) if len(np.unique(values)) > 2 else 0.5
        for side, chosen in (("below", values < middle), ("from", values >= middle)):
            part = [answer for answer, wanted in zip(found, chosen, strict=True) if wanted]
            told.append(
                {
                    "attribute": name,
                    "side": side,
                    "at": _rounded(middle),
                    "n": len(part),
                    **_areas(spec, part),
                }
            )
    for side, low, high in (
        ("hardly visible", 0.0, 1 / 3),
        ("visible", 1 / 3, 2 / 3),
        ("plain", 2 / 3, 1.01),
    ):
        areas = {}
        for i, name in enumerate(recipe.labels):
            kept = [a for a in found if not a.truth[i] or low <= a.attributes.get(name, -1) < high]
            scored = (
                area(np.array([a.logits[i] for a in kept]), np.array([a.truth[i] for a in kept]))
                if kept
                else None
            )
            areas[name] = scored["value"] if scored else None
        told.append({"attribute": "conspicuity", "side": side, "at": None, "n": None, "auroc": areas})
    return told


def _areas(spec: ModelSpec, found: Sequence[Answer]) -> dict[str, Any]:
    areas = {}
    for i, label in enumerate(spec.labels):
        truth = np.array([a.truth[i] for a in found], dtype=bool)
        mixed = len(truth) and truth.any() and not truth.all()
        areas[label.name] = (
            _rounded(metrics.auroc(np.array([a.logits[i] for a in found]), truth)) if mixed else None
        )
    return {"auroc": areas}


def _froc(recipe: Recipe, found: Sequence[Answer]) -> dict[str, Any]:
    i = recipe.labels.index(recipe.froc_label)
    curve = regions.froc([(answer.cams[i], answer.masks[i]) for answer in found])
    return {"label": recipe.froc_label, "sensitivity_at": [[rate, _rounded(found)] for rate, found in curve]}


def _share(hits: NDArray[np.bool_]) -> float | None:
    return _rounded(float(hits.mean())) if len(hits) else None


def _rounded(value: float) -> float:
    return round(value, DIGITS)
