"""The models there are: one file each in `inference.models`, found by looking into the folder."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

import inference.models
from inference.localisation import Finding
from inference.pixels import Geometry, PixelFrame
from inference.spec import ModelSpec


class Model(Protocol):
    """What a file of `inference.models` offers."""

    SPEC: ModelSpec

    def preprocess(self, data: bytes) -> PixelFrame:
        """Bytes of a DICOM file to the model's input; raises `inference.spec.NotAcceptableError`."""
        ...

    def postprocess(
        self, outputs: Mapping[str, NDArray[np.floating]], geometry: Geometry
    ) -> tuple[Finding, ...]:
        """Outputs of one image to one finding per label."""
        ...


@cache
def models() -> Mapping[str, Model]:
    """Every model file by its model's name, in the order of the file names."""
    names = sorted(module.name for module in pkgutil.iter_modules(inference.models.__path__))
    files = (cast("Model", importlib.import_module(f"inference.models.{name}")) for name in names)
    return {file.SPEC.name: file for file in files}
