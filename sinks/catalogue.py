"""Which sinks and notifiers there are: the files in this folder and in `notifiers/`, each with its `SPEC` and `open_sink`."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

import sinks
from runtime.errors import StopError
from sinks import notifiers
from sinks.sink import SinkSpec

SHARED = frozenset({"__main__", "catalogue", "runner", "sink"})
"""Files of this folder that are no destination."""


def destinations() -> list[str]:
    """Name of every sink, which is its file's; nothing is imported."""
    found = (info.name for info in pkgutil.iter_modules(sinks.__path__) if not info.ispkg)
    return sorted(name for name in found if name not in SHARED)


def channels() -> list[str]:
    """Name of every notifier, which is its file's; nothing is imported."""
    return sorted(info.name for info in pkgutil.iter_modules(notifiers.__path__))


def names() -> list[str]:
    """Name of every sink and notifier."""
    return sorted([*destinations(), *channels()])


def load(name: str) -> SinkSpec:
    """Import one sink or notifier and return its declaration.

    Raises
    ------
    StopError
        There is no such file, or it declares no sink.
    """
    spec = getattr(module(name), "SPEC", None)
    if not isinstance(spec, SinkSpec):
        raise StopError("the sink's file declares no SPEC")
    return spec


def module(name: str) -> ModuleType:
    """Import one sink's file.

    Raises
    ------
    StopError
        There is no such file.
    """
    if name in destinations():
        return importlib.import_module(f"{sinks.__name__}.{name}")
    if name in channels():
        return importlib.import_module(f"{notifiers.__name__}.{name}")
    raise StopError(f"there is no sink of that name; there are: {', '.join(names())}")
