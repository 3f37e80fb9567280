"""Train one model: `python -m inference.make_model NAME`, in the environment that `make .venv-training/.ready` makes.

It writes NAME.onnx and NAME.json (seeds, calibration, figures, digest) to the output folder, on one thread.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from pathlib import Path

from inference import models
from inference.catalogue import Model
from inference.evaluation import calibrate
from inference.training.recipe import Recipe
from inference.training.recipes import all_recipes


def train_to(
    recipe: Recipe, output: Path, *, cache: Path | None = None, backbone: Path | None = None
) -> Path:
    """Train, export, calibrate, measure and write; the path of the weights."""
    from inference.training.train import train

    began = time.process_time()
    network = train(recipe, cache=cache, backbone=backbone, say=_say)
    path = output / f"{recipe.name}.onnx"
    network.write(path)
    pooling = [round(sharp, 7) for sharp in network.pooling()]
    state(recipe, path, pooling, time.process_time() - began)
    return path


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def state(recipe: Recipe, path: Path, pooling: list[float], cpu_seconds: float) -> None:
    """Calibrate and measure the weights in ``path``, and write both beside them."""
    told = calibrate.described(path.read_bytes(), recipe, pooling, cpu_seconds)
    beside = path.with_suffix(".json")
    calibrate.write(beside, told)
    model: Model = importlib.import_module(f"{models.__name__}.{recipe.name}")
    spec = calibrate.with_labels(model.SPEC, path, told)
    calibrate.write(beside, {**told, "measured": calibrate.measured(spec, recipe, recipe.test_units)})


def main() -> int:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(
        prog="radstream train", description="Train a demonstration model from its seeds."
    )
    parser.add_argument("name", choices=sorted(all_recipes()))
    parser.add_argument("--output", type=Path, default=Path(models.__path__[0]))
    parser.add_argument("--cache", type=Path, help="keep the training images here and use them again")
    parser.add_argument("--backbone", type=Path, help="weights of a torchvision-style backbone to start from")
    given = parser.parse_args()
    made = train_to(all_recipes()[given.name], given.output, cache=given.cache, backbone=given.backbone)
    _say(
        f"wrote {made} and {made.with_suffix('.json').name}; the card: python -m inference.evaluation.card {given.name}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
