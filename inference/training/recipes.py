"""The recipes there are: one per file of ``inference/training/data``."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping

from inference.training import data
from inference.training.recipe import Recipe


def all_recipes() -> Mapping[str, Recipe]:
    """Every recipe by its model's name; the name is the file's."""
    names = sorted(found.name for found in pkgutil.iter_modules(data.__path__))
    return {name: importlib.import_module(f"{data.__name__}.{name}").RECIPE for name in names}
