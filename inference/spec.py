"""What a model is: its tensors, labels, calibration, limits of use. Pure data."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

PRIORITY_STAT, PRIORITY_ROUTINE = 1, 2
"""Triton's priority levels: 1 is served first; replays share the routine level and are held back by their producer."""
PRIORITY_LEVELS = 2


class NotAcceptableError(Exception):
    """The image is not one this model may read. Final: the study ends as "not analysed", with :attr:`reason`.

    ``reason`` is one of a fixed vocabulary (``REASONS`` in :mod:`inference.pixels`) and carries nothing of the image.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class TensorSpec:
    """One input or output: ``dims`` without the batch axis, ``axes`` one letter per dim (c, h, w, l)."""

    name: str
    dtype: str
    """numpy name: uint16, float32, ..."""
    dims: tuple[int, ...]
    axes: str


@dataclass(frozen=True)
class Code:
    """A coded concept. ``verified`` says that the code was found in the DICOM concept dictionary (PS3.16)."""

    value: str
    scheme: str
    meaning: str
    verified: bool


@dataclass(frozen=True)
class Label:
    """One finding the model looks for, with its calibration and operating point."""

    name: str
    code: Code
    temperature: float
    bias: float
    threshold: float
    """Calibrated probability from which the finding counts as present."""
    conformal: bool = False
    """Whether calibration chose the two bounds below, with a promise; else the publishing step's fixed ones hold."""
    high_from: float | None = None
    """Calibrated probability from which it is `high`; None where calibration could not support such a class."""
    low_below: float | None = None
    """Calibrated probability below which it is `low`; None where calibration could not support such a class."""
    border: float | None = None
    """Logit of the map from which a place belongs to the finding's region, chosen on calibration images; None where none
    was: then half of the strongest cell's probability bounds it."""
    scattered: bool = False
    """Whether the region is every such place, for findings that lie in several; else the part round the strongest cell."""
    floor: float = 0.0
    """How often the finding is there although the image shows nothing of it: no probability is lower."""

    def probability(self, logit: float) -> float:
        """Calibrated probability of a raw logit: ``floor + (1 - floor) * sigmoid(logit / temperature + bias)``."""
        free = 0.5 * (1 + math.tanh(0.5 * (logit / self.temperature + self.bias)))
        return self.floor + (1 - self.floor) * free

    def present(self, logit: float) -> bool:
        """Whether the calibrated probability reaches the threshold."""
        return self.probability(logit) >= self.threshold


Values = Literal["density", "hounsfield", "signal", "colour"]
"""What a model's numbers are, see :class:`Reading`."""


@dataclass(frozen=True)
class Reading:
    """How :func:`inference.pixels.frame_for_model` turns an image into the model's input.

    ``values``:

    - ``density`` (CR, DX): stored values, dense tissue bright, spread from 0..2^BitsStored-1 to 16 bits; uint16 (1, s, s)
    - ``hounsfield`` (CT): Hounsfield units, whole numbers from -1024 up, padding as air (-1024); int16 (1, s, s)
    - ``signal`` (MR): values without unit, the image's range from 0 to its greatest value spread to 16 bits; uint16 (1, s, s)
    - ``colour`` (US): red, green, blue of 8 bits; uint8 (3, s, s), or one channel of luminance if the input has one
    """

    values: Values = "density"
    reduced: bool = True
    """Whether JPEG 2000 and HTJ2K may be decoded at a lower resolution: an X-ray of still twice the input's pixels per side, a CT
    slice of as many as the input has. Harmless for the models that are shipped (docs/pixels.md says by how much)."""
    template: str = "chest"
    """For ``density``: the picture that the image must look like (``chest``: a frontal chest), or nothing."""


@dataclass(frozen=True)
class ModelSpec:
    """One version of one model, and what it may be used on."""

    name: str
    version: int
    file: Path
    sha256: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    labels: tuple[Label, ...]
    calibration_version: str
    max_batch_size: int
    demonstration: bool
    intended_use: str
    licence: str
    modalities: frozenset[str]
    body_parts: frozenset[str]
    views: frozenset[str]
    minimum_age_years: int
    golden_logits: tuple[float, ...]
    """Outputs for :func:`inference.golden.golden_image`: what a canary compares with."""
    reading: Reading = Reading()
    """What the numbers of the input are, and which images are refused."""
    unit: Literal["image", "series"] = "image"
    """What one result is about; labels are calibrated for it. A series is read when its study is complete."""
    pooling: tuple[float, ...] = ()
    """Per label the sharpness s of the map's soft maximum: logit = log(mean(exp(s * map))) / s. Empty where it is not one."""
    fewest: int = 1
    """Images of a study without which it does not answer: a model for a series has learnt nothing of a lone slice."""
    multi_frame: bool = False
    """Whether files with several frames are read (their middle frame)."""

    @property
    def digest(self) -> str:
        """SHA-256 of the weights file as declared; :meth:`weights` holds the file to it."""
        return self.sha256

    @property
    def calibration_digest(self) -> str:
        """SHA-256 over calibration, thresholds and codes: changes when the meaning of an output does."""
        told = {"version": self.calibration_version, "labels": [asdict(label) for label in self.labels]}
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()

    def label(self, name: str) -> Label:
        """The label of that name; ``KeyError`` if the model has none."""
        for label in self.labels:
            if label.name == name:
                return label
        raise KeyError(name)

    def weights(self) -> bytes:
        """The ONNX file; ``ValueError`` if it is not the file that the specification names."""
        data = self.file.read_bytes()
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise ValueError(
                f"{self.file.name} is not the file that {self.name} version {self.version} declares"
            )
        return data
