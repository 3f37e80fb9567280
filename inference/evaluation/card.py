"""The card of a model, from its specification and the figures beside its weights: `python -m inference.evaluation.card NAME`.

It writes `docs/models/NAME.md`; with `--pictures` also the reliability plot and the gallery of failures, for which the test
images are made once more. A test holds the pages equal to the figures.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from inference import demonstration
from inference.catalogue import all_models
from inference.evaluation import pictures
from inference.evaluation.measure import answers
from inference.spec import Label, ModelSpec
from inference.training import seeds
from inference.training.recipe import Recipe
from inference.training.recipes import all_recipes

FOLDER = Path("docs/models")
WIDTH = 120
"""Characters of a line of text."""
LEAST_WITHIN, MOST_ERROR = 0.80, 0.03
"""Aims: share of a label's boxes within a cell, and its ECE. What misses them is named."""
READ_WHEN = {
    "image": "as soon as it arrives",
    "series": "when its study is complete, as one answer for the series",
}


def page(name: str) -> str:
    """The whole card of a model."""
    spec, recipe = all_models()[name].SPEC, all_recipes()[name]
    told = demonstration.read(spec.file)
    parts = (
        _head(spec, recipe),
        _data(recipe, told),
        _figures(spec, told),
        _found(recipe, told),
        _shown(told),
        _end(spec),
    )
    return "\n".join(line for part in parts for line in part) + "\n"


def _head(spec: ModelSpec, recipe: Recipe) -> Iterator[str]:
    size = spec.file.stat().st_size / 1e6
    shape = " × ".join(map(str, spec.inputs[0].dims))
    outputs = ", ".join(f"`{t.name}` {' × '.join(map(str, t.dims))}" for t in spec.outputs)
    yield f"# Model card: {spec.name}, version {spec.version}\n"
    yield "Made by `python -m inference.evaluation.card`; a test holds it equal to the figures beside the weights.\n"
    yield "> **Demonstration only. Trained and measured on synthetic images, never on a patient. Not for clinical use.**\n"
    yield "## What it is"
    yield f"A residual network of {size:.1f} MB (ONNX, opset 17). Normalisation is part of the graph: it takes raw integers."
    yield "The class-activation map's soft maximum *is* the logit.\n"
    yield "| | |\n|---|---|"
    yield f"| Input | `image`, {spec.inputs[0].dtype}, n × {shape}; {recipe.values} as `inference/spec.py` defines it |"
    yield f"| Outputs | {outputs}; float32, before any calibration |"
    yield f"| Reads | {', '.join(sorted(spec.modalities))} of {', '.join(sorted(spec.body_parts))}; {_views(spec)} |"
    yield f"| When | {READ_WHEN[spec.unit]} |"
    yield f"| Weights | SHA-256 `{spec.digest[:16]}…`; calibration `{spec.calibration_digest[:16]}…` |"
    yield f"| Licence | {spec.licence}, weights and generator |\n"
    yield "**Intended use**: to demonstrate and test ingest, inference, overlays, ranking and alerts. **Not intended** for"
    yield "diagnosis, triage, screening, teaching of radiology, or any decision about a person.\n"


def _views(spec: ModelSpec) -> str:
    age = f"age {spec.minimum_age_years} or more"
    return f"view {' or '.join(sorted(spec.views))}; {age}" if spec.views else age


def _data(recipe: Recipe, told: dict[str, Any]) -> Iterator[str]:
    yield "## Data"
    yield f"Generator version {told['generator_version']}. No seed has two uses:\n"
    yield "| Use | Seeds | Units |\n|---|---|---|"
    for use, (start, stop) in told["seeds"].items():
        yield f"| {use} | {start} to {stop - 1} | {stop - start} |"
    yield f"\nTraining took {told['training_cpu_seconds']} s of one CPU thread, {told['epochs']} epochs. SHA-256 over the"
    yield f"first 16 training images: `{told['data_digest'][:32]}…`. `radstream train {recipe.name}` repeats it; on another"
    yield "processor the last digits may differ, because bfloat16 kernels do.\n"


def _figures(spec: ModelSpec, told: dict[str, Any]) -> Iterator[str]:
    measured = told["measured"]
    yield f"## Figures ({measured['n']} synthetic test units)"
    yield f"Mean AUROC **{measured['auroc_mean']:.3f}**, mean ECE **{measured['ece']:.3f}** after calibration (worst label"
    yield f"{measured['ece_worst']:.3f}); largest gap between a logit and its pooled map {measured['pooled_map_error']:.0e}."
    numbers = (
        "temperature, bias and floor" if any(each.floor for each in spec.labels) else "temperature and bias"
    )
    yield f"Intervals: bootstrap, 95 %. Calibration: {numbers} per label; threshold at 97 % specificity on the"
    yield "calibration images, never below a probability of 0.3.\n"
    if spec.calibration_version == "uncalibrated":
        yield "**This version was not calibrated yet**: raw logits, threshold .5, no promises; regions from half the peak on.\n"
    yield "ECE: bins of equally many images, at least 100. Of chance: what perfect calibration would show on as many images.\n"
    yield "| Finding | Positives | AUROC | ECE raw → calibrated | of chance | Brier | Threshold | Sensitivity | Specificity |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for name, each in measured["labels"].items():
        area, label = measured["auroc"][name], spec.label(name)
        told_of = " | ".join(
            (_area(area), f"{each['ece_raw']:.3f} → {each['ece']:.3f}", f"{each['ece_chance']:.3f}")
        )
        rates = " | ".join(map(_number, (label.threshold, each["sensitivity"], each["specificity"])))
        yield f"| {name} | {each['positives']} | {told_of} | {each['brier']:.3f} | {rates} |"
    yield f"\n![reliability]({spec.name}-reliability.png)\n"
    yield "### Classes"
    yield "`high` promises a positive predictive value of .90, `low` a negative one of .95, on images like these, each with 95 %"
    yield "confidence. Where the calibration images cannot support a class, there is none, and such images are `uncertain`.\n"
    yield "| Finding | high from | given | PPV | low below | given | NPV | uncertain |\n|---|---|---|---|---|---|---|---|"
    for name, each in measured["labels"].items():
        yield _classes(spec.label(name), each["conformal"])
    yield ""


def _classes(label: Label, said: dict[str, Any]) -> str:
    high = "no such class" if label.high_from is None else f"{label.high_from:.2f}"
    low = "no such class" if label.low_below is None else f"{label.low_below:.3f}"
    told = (_number(said[key]) for key in ("high", "ppv", "low", "npv", "uncertain"))
    given, ppv, low_given, npv, uncertain = told
    return f"| {label.name} | {high} | {given} | {ppv} | {low} | {low_given} | {npv} | {uncertain} |"


def _found(recipe: Recipe, told: dict[str, Any]) -> Iterator[str]:
    measured = told["measured"]
    yield "## Where it says a finding is"
    yield "Pointing: the map's strongest cell touches the finding. IoU: of the region with the finding, on quarters of cells."
    yield "Box: every edge within one cell of the finding's own, which is taken to the pixel, among true positives. The map is"
    yield "read between its cells in a straight line, and a box drawn round the part at its strongest cell (parts that touch by"
    yield "a corner are one) or, where findings lie in several places, round everything; either is held to the whole finding."
    yield "Which of the two a label has, and from which logit of the map a place belongs to it, was chosen on the calibration"
    yield "images.\n"
    yield from textwrap.wrap(f"The finding: {recipe.truth}", WIDTH)
    yield ""
    yield "| Finding | Pointing | IoU | Box within a cell | of boxes | Drawn round | From logit |\n|---|---|---|---|---|---|---|"
    for name, each in measured["labels"].items():
        where, label = each["localisation"], told["labels"][name]
        numbers = " | ".join(_number(where[key]) for key in ("pointing", "iou", "box_within_a_cell"))
        around = "everything" if label["scattered"] else "one part"
        yield f"| {name} | {numbers} | {where['boxes']} | {around} | {_number(label['border'])} |"
    together = measured["all_labels"]
    yield f"\nAll labels together: {_number(together['box_within_a_cell'])} of {together['boxes']} boxes within a cell."
    yield from _missed(measured)
    if "froc" in measured:
        yield f"\nFROC, {measured['froc']['label']}: sensitivity at false marks per image\n"
        yield "| " + " | ".join(f"{rate:g}" for rate, _ in measured["froc"]["sensitivity_at"]) + " |"
        yield "|---" * len(measured["froc"]["sensitivity_at"]) + "|"
        yield "| " + " | ".join(f"{share:.2f}" for _, share in measured["froc"]["sensitivity_at"]) + " |"
    yield ""


def _missed(measured: dict[str, Any]) -> Iterator[str]:
    """What the card's aims ask and the figures do not give, by name."""
    labels = measured["labels"].items()
    boxes = [n for n, each in labels if (each["localisation"]["box_within_a_cell"] or 0) < LEAST_WITHIN]
    errors = [name for name, each in labels if each["ece"] > MOST_ERROR]
    if boxes:
        yield f"**Below the aim** of {LEAST_WITHIN:.2f} of a label's boxes: {', '.join(boxes)}."
    if errors:
        yield f"**Above the aim** of an ECE of {MOST_ERROR:.2f} at most: {', '.join(errors)}."


def _shown(told: dict[str, Any]) -> Iterator[str]:
    measured = told["measured"]
    names = list(measured["labels"])
    yield "## Subgroups (AUROC)"
    yield "Halves by the generator's numbers, and positives by how plainly they show against all negatives.\n"
    yield f"| Group | n | {' | '.join(names)} |"
    yield "|---|---|" + "---|" * len(names)
    for group in measured["subgroups"]:
        side = group["side"] if group["at"] is None else f"{group['side']} {group['at']:g}"
        areas = " | ".join(_number(group["auroc"][name]) for name in names)
        yield f"| {group['attribute']} {side} | {group['n'] or ''} | {areas} |"
    yield ""


def _end(spec: ModelSpec) -> Iterator[str]:
    yield "## Failures"
    yield "Worst misses (left) and false alarms (right) at the operating point; green: the finding, orange: the model's box.\n"
    yield f"![failures]({spec.name}-failures.png)\n"
    yield "## Codes\n"
    yield "| Finding | Code | Source |\n|---|---|---|"
    for label in spec.labels:
        source = "DICOM PS3.16" if label.code.verified else "private and **not verified**: never in an SR"
        yield f"| {label.name} | {label.code.scheme} {label.code.value} ({label.code.meaning}) | {source} |"


def _area(area: dict[str, float] | None) -> str:
    return "–" if area is None else f"{area['value']:.3f} ({area['low']:.3f} to {area['high']:.3f})"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def main() -> int:
    """Write the pages, and the pictures where they are asked for."""
    parser = argparse.ArgumentParser(description="Write model cards.")
    parser.add_argument("names", nargs="*", default=sorted(all_models()))
    parser.add_argument("--pictures", action="store_true", help="make the test images again and draw them")
    given = parser.parse_args()
    for name in given.names:
        FOLDER.mkdir(parents=True, exist_ok=True)
        (FOLDER / f"{name}.md").write_text(page(name))
        if given.pictures:
            draw(all_models()[name].SPEC, all_recipes()[name])
    return 0


def draw(spec: ModelSpec, recipe: Recipe) -> None:
    """Write both pictures of a model's card."""
    told = demonstration.read(spec.file)["measured"]
    found = answers(spec.weights(), recipe, spec.pooling, seeds.measuring(recipe.test_units, None))
    (FOLDER / f"{spec.name}-reliability.png").write_bytes(pictures.reliability(told))
    (FOLDER / f"{spec.name}-failures.png").write_bytes(pictures.failures(spec, recipe, found))


if __name__ == "__main__":
    sys.exit(main())
