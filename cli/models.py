"""`radstream models`, `radstream evaluate`, `radstream train` and `radstream import-model`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

TRAINING_ENVIRONMENT = "RADSTREAM_TRAINING_ENV"
"""Environment variable that names the environment with torch; `.venv-training` by default."""
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Environment variables of the libraries that would else wait for each other on a busy machine, at twice the CPU time."""
DEFAULT_UNITS = 400
"""Images or series of an evaluation: enough for intervals of a few hundredths, few enough for minutes."""

NameArgument = Annotated[str, typer.Argument(help="Model's name, as `radstream models` lists them.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def models(as_json: JsonOption = False) -> None:
    """List the models there are, with version, digest and what they read."""
    from inference.catalogue import all_models

    told: list[dict[str, Any]] = [
        {
            "name": spec.name,
            "version": spec.version,
            "digest": spec.digest,
            "labels": [label.name for label in spec.labels],
            "modalities": sorted(spec.modalities),
            "body_parts": sorted(spec.body_parts),
            "unit": spec.unit,
            "demonstration": spec.demonstration,
            "calibration_version": spec.calibration_version,
            "licence": spec.licence,
        }
        for spec in (model.SPEC for model in all_models().values())
    ]
    if as_json:
        sys.stdout.write(json.dumps(told, indent=1) + "\n")
        return
    table = Table("model", "version", "digest", "reads", "labels")
    for each in told:
        reads = f"{'/'.join(each['modalities'])} {'/'.join(each['body_parts'])}"
        table.add_row(
            each["name"], str(each["version"]), each["digest"][:12], reads, ", ".join(each["labels"])
        )
    Console(highlight=False).print(table)


def evaluate(
    name: NameArgument,
    seed: Annotated[
        int | None, typer.Option(help="Other images: 0 or more; without it the test set's own.")
    ] = None,
    n: Annotated[
        int, typer.Option("--n", help="Images, or series for a model that reads series.")
    ] = DEFAULT_UNITS,
    as_json: JsonOption = False,
) -> None:
    """Measure a model on synthetic images made now, with ONNX Runtime: discrimination, calibration, localisation."""
    from inference.catalogue import all_models
    from inference.evaluation.calibrate import measured
    from inference.training.recipes import all_recipes

    recipe, model = all_recipes().get(name), all_models().get(name)
    if recipe is None or model is None:
        raise _refused(
            f"No model {name!r} that can be measured here; there are {', '.join(sorted(all_recipes()))}."
        )
    try:
        told = measured(model.SPEC, recipe, n, seed)
    except ValueError as error:
        raise _refused(str(error)) from error
    if as_json:
        sys.stdout.write(json.dumps(told, indent=1) + "\n")
        return
    _show(told)


def _show(told: dict[str, Any]) -> None:
    table = Table(
        "finding", "positives", "AUROC", "95 %", "ECE", "sensitivity", "specificity", "pointing", "IoU"
    )
    for label, each in told["labels"].items():
        area = told["auroc"][label] or {"value": None, "low": None, "high": None}
        where = each["localisation"]
        cells = (each["ece"], each["sensitivity"], each["specificity"], where["pointing"], where["iou"])
        interval = f"{area['low']} to {area['high']}"
        table.add_row(
            label, str(each["positives"]), str(area["value"]), interval, *(str(cell) for cell in cells)
        )
    console = Console(highlight=False)
    console.print(table)
    console.print(f"mean AUROC {told['auroc_mean']}, mean ECE {told['ece']}, {told['n']} × {told['unit']}")
    console.print("Synthetic images only: these figures say nothing about patients.")


def train(
    name: NameArgument,
    output: Annotated[
        Path | None, typer.Option(help="Folder to write to; by default the product's own.")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Keep the training images in this file and use them again.")
    ] = None,
    backbone: Annotated[
        Path | None, typer.Option(help="Weights of a ResNet as torchvision saves them, to start from.")
    ] = None,
) -> None:
    """Train a model from its seeds on one thread. Needs torch: `make .venv-training/.ready` makes its environment."""
    options = {"--output": output, "--cache": cache, "--backbone": backbone}
    given = [
        part for flag, value in options.items() if value is not None for part in (flag, str(value.resolve()))
    ]
    raise typer.Exit(_with_torch("Training", "inference.make_model", name, *given))


def import_model(
    source: Annotated[str, typer.Argument(help="torchxrayvision, monai-bundle or rsna-hemorrhage.")],
    file: Annotated[Path, typer.Argument(help="Weights as a state dict; for a MONAI bundle its folder.")],
    sha256: Annotated[
        str, typer.Option("--sha256", help="Digest of the weights, as their publisher states it.")
    ],
    output: Annotated[Path, typer.Option(help="Folder to write the graph and its Triton repository to.")],
) -> None:
    """Make a Triton model of a downloaded network, with logits and map. Needs torch: `make .venv-training/.ready`."""
    paths = (source, str(file.resolve()), "--sha256", sha256, "--output", str(output.resolve()))
    raise typer.Exit(_with_torch("Importing", "inference.training.imports", *paths))


def _with_torch(what: str, module: str, *arguments: str) -> int:
    """Run a module of ours where torch is, on one thread; its exit status."""
    python = training_python()
    if python is None:
        raise _refused(
            f"{what} needs torch, which has an environment of its own (3 GB): `make .venv-training/.ready` in the checkout "
            f"makes it, {TRAINING_ENVIRONMENT} names another."
        )
    root = Path(__file__).resolve().parent.parent
    environment = os.environ | {"PYTHONPATH": str(root)} | dict.fromkeys(THREADS, "1")
    return subprocess.run([python, "-m", module, *arguments], env=environment, check=False).returncode


def training_python() -> str | None:
    """Python that has torch: this one, else that of the environment for training; None where neither is there."""
    if find_spec("torch") is not None:
        return sys.executable
    found = Path(os.environ.get(TRAINING_ENVIRONMENT, ".venv-training")) / "bin" / "python"
    ready = found.exists() and any((found.parent.parent / "lib").glob("python*/site-packages/torch"))
    return str(found.absolute()) if ready else None


def _refused(text: str) -> typer.Exit:
    Console(stderr=True).print(text, markup=False, highlight=False)
    return typer.Exit(1)
