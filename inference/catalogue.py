"""The models there are: one per file of ``inference/models``."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Protocol

from numpy.typing import NDArray

from inference import models
from inference.localisation import Finding
from inference.pixels import Geometry, PixelFrame
from inference.spec import ModelSpec


class Model(Protocol):
    """What a model's file offers."""

    @property
    def SPEC(self) -> ModelSpec:  # noqa: N802 - a module constant
        """What it is."""
        ...

    def preprocess(self, data: bytes) -> PixelFrame:
        """DICOM file to input, or :class:`inference.spec.NotAcceptableError`."""
        ...

    def postprocess(self, outputs: Mapping[str, NDArray[Any]], geometry: Geometry) -> tuple[Finding, ...]:
        """Outputs of one image to findings."""
        ...


@lru_cache(maxsize=1)
def all_models() -> Mapping[str, Model]:
    """Every model by name; the name is the file's."""
    names = [found.name for found in pkgutil.iter_modules(models.__path__)]
    return {name: importlib.import_module(f"{models.__name__}.{name}") for name in sorted(names)}
