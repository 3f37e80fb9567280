"""Which steps there are: the files in `steps/`, each with its `STEP`."""

from __future__ import annotations

import importlib
import pkgutil

from runtime.errors import StopError
from stream_processors import steps
from stream_processors.step import Step


def names() -> list[str]:
    """Name of every step, which is its file's; nothing is imported."""
    return sorted(module.name for module in pkgutil.iter_modules(steps.__path__))


def load(name: str) -> Step:
    """Import one step.

    Raises
    ------
    StopError
        There is no such file, or it declares no step.
    """
    if name not in names():
        raise StopError(f"there is no step of that name; there are: {', '.join(names())}")
    step = getattr(importlib.import_module(f"{steps.__name__}.{name}"), "STEP", None)
    if not isinstance(step, Step):
        raise StopError("the step's file declares no STEP")
    return step
