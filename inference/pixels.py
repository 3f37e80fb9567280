"""From a DICOM file, or its header and frames in a store, to what a model reads.

The contract is checked on every image, before any number is computed: a picture of another kind is refused with a
reason, never guessed at (:mod:`inference.input_contract`). Stored values are resized first and scaled afterwards: both are
linear, and the small image is cheap to scale. What a model's numbers are is said by its :class:`inference.spec.Reading`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inference import input_contract as contract
from inference.decoding import Form, Values, decode_frame, decode_reduced
from inference.display import display_array, display_image
from inference.frames import DicomImage, open_image, refusing
from inference.geometry import Geometry, PatientGeometry, detector_spacing, patient_geometry
from inference.header import Attributes, Buffer
from inference.input_contract import LARGEST_PIXELS, LARGEST_SIDE, REASONS, SMALLEST_SIDE
from inference.palette import coloured
from inference.spec import ModelSpec, NotAcceptableError
from inference.syntaxes import EXPLICIT_BIG

__all__ = [
    "LARGEST_PIXELS", "LARGEST_SIDE", "REASONS", "SMALLEST_SIDE", "Geometry", "PatientGeometry", "PixelFrame",
    "display_array", "display_image", "fit_square", "frame_for_model", "open_image",
]  # fmt: skip

Gray = NDArray[np.uint16]

AIR = -1024
"""Hounsfield units of padding, and the least that is handed on: scanners fill what is outside their field with less than air."""


@dataclass(frozen=True)
class PixelFrame:
    """``tensor`` (channels, side, side) as the model's input wants it, and where it came from."""

    tensor: NDArray[Any]
    geometry: Geometry
    patient: PatientGeometry | None = None
    """Where the frame lies in the patient, for slices that say so."""
    spacing_mm: tuple[float, float] | None = None
    """Millimetres per original row and column on the detector, for projections that say so."""
    decoded_at: float | None = None
    """``time.perf_counter()`` when the stored values were there: what came before is decoding, what comes after is arithmetic."""


def frame_for_model(data: Buffer | DicomImage, spec: ModelSpec, frame: int | None = None) -> PixelFrame:
    """Read one frame for ``spec``, or raise :class:`NotAcceptableError`.

    Parameters
    ----------
    data
        A DICOM file, or the header and byte ranges of one (:func:`inference.frames.open_image`).
    spec
        What the model takes: ``spec.reading`` says what its numbers are, the first input's last dim how many pixels per side.
    frame
        Which frame, from 0; without it the middle one. X-rays have one.
    """
    with refusing("header unreadable"):
        image = data if isinstance(data, DicomImage) else open_image(data)
        contract.check_kind(image.header, spec)
        contract.check_bits(image)
        index = (image.frames - 1) // 2 if frame is None else frame
        if not 0 <= index < image.frames:
            raise NotAcceptableError("pixel data truncated")
        match spec.reading.values:
            case "density":
                return _density(image, spec)
            case "hounsfield":
                return _hounsfield(image, spec, index)
            case "signal":
                return _signal(image, spec, index)
            case "colour":
                return _colour(image, spec, index)


def _density(image: DicomImage, spec: ModelSpec) -> PixelFrame:
    """Values are inverted for MONOCHROME1 (PS3.3 §C.7.6.3.1.2) and for a negative rescale slope: dense tissue is bright."""
    header, side = image.header, spec.inputs[0].dims[-1]
    contract.check_xray_header(header)
    contract.check_size(header, contract.SMALLEST_SIDE)
    top = (1 << int(header.BitsStored)) - 1
    dark = _dense_is_dark(header)
    padding_value = header.get("PixelPaddingValue")
    levels = _levels_to_spare(header, 2 * side) if spec.reading.reduced and padding_value is None else 0
    reduced = decode_reduced(image, 0, levels) if levels else None
    stored, decoded_at = _decoded(image, 0) if reduced is None else (reduced, time.perf_counter())
    if reduced is None:
        contract.check_levels(stored)
        stored = _unpadded(stored, header, dark=dark)
    small, geometry = resized(stored, side, shape=(int(header.Rows), int(header.Columns)))
    if dark:
        small = np.asarray(top - np.minimum(small, top), dtype=np.uint16)
    contract.check_xray(small, template=spec.reading.template)
    spacing = detector_spacing(header)
    return PixelFrame(_spread(small, top, geometry), geometry, None, spacing, decoded_at)


def _decoded(image: DicomImage, index: int) -> tuple[Values, float]:
    """Stored values, and when they were there."""
    return decode_frame(image, index), time.perf_counter()


def _hounsfield(image: DicomImage, spec: ModelSpec, index: int) -> PixelFrame:
    """Whole Hounsfield units; padding, and what is darker than air, as air."""
    header, side = image.header, spec.inputs[0].dims[-1]
    contract.check_size(header, contract.SMALLEST_SLICE)
    slope, intercept = contract.check_ct_header(header, index)
    padding_value = header.get("PixelPaddingValue")
    levels = _levels_to_spare(header, side) if spec.reading.reduced and padding_value is None else 0
    reduced = decode_reduced(image, index, levels) if levels else None
    stored, decoded_at = _decoded(image, index) if reduced is None else (reduced, time.perf_counter())
    contract.check_hounsfield(stored, slope, intercept)
    outside = _padding(stored, header)
    values = _rescaled(stored, slope, intercept)
    if outside is not None:
        values[outside] = AIR
    small, geometry = resized(values, side, shape=(int(header.Rows), int(header.Columns)))
    tensor = _padded(small, geometry, AIR)
    return PixelFrame(tensor, geometry, patient_geometry(header, index), decoded_at=decoded_at)


def _rescaled(stored: Values, slope: float, intercept: float) -> NDArray[np.int16]:
    """Whole units within int16, at least :data:`AIR`. Whole-numbered rescales, which most are, need no float."""
    whole = slope == 1 and intercept.is_integer() and abs(intercept) < 1 << 14
    if (
        whole
        and (stored.dtype.itemsize == 1 or int(stored.max()) < 1 << 14)
        and int(stored.min()) > -(1 << 14)
    ):
        units = stored.astype(np.int16)
        units += np.int16(intercept)
        # Not np.maximum, which takes six times as long for 16 bits.
        return np.asarray(np.clip(units, np.int16(AIR), np.iinfo(np.int16).max, out=units))
    values = stored.astype(np.float32) * np.float32(slope) + np.float32(intercept)
    return np.asarray(np.rint(np.clip(values, AIR, np.iinfo(np.int16).max)), dtype=np.int16)


def _signal(image: DicomImage, spec: ModelSpec, index: int) -> PixelFrame:
    """Magnetic resonance has no unit: the image's own range, from zero to its brightest, over 16 bits.

    An intercept says which stored value is zero. How MONOCHROME1 would have to be turned nobody can tell without a unit.
    """
    header, side = image.header, spec.inputs[0].dims[-1]
    contract.check_size(header, contract.SMALLEST_SLICE)
    contract.check_gray(header, index)
    if contract.text(header, "PhotometricInterpretation") == "MONOCHROME1":
        raise NotAcceptableError("inverted values")
    slope, intercept = contract.check_rescale(header, index)
    values, decoded_at = _decoded(image, index)
    stored = _unpadded(values, header, dark=False)
    if intercept:
        stored = np.asarray(np.rint(stored + np.float32(intercept / slope)), dtype=np.int32)
        stored = np.clip(stored, 0, 65535).astype(np.uint16)
    small, geometry = resized(np.maximum(stored, 0), side)
    contract.check_filled(small)
    spread = np.rint(small.astype(np.float32) * np.float32(65535 / int(small.max()))).astype(np.uint16)
    tensor = _padded(spread, geometry, 0)
    return PixelFrame(tensor, geometry, patient_geometry(header, index), decoded_at=decoded_at)


def _colour(image: DicomImage, spec: ModelSpec, index: int) -> PixelFrame:
    """Red, green and blue of 8 bits, or their luminance (ITU-R BT.601) where the model has one channel."""
    header = image.header
    contract.check_size(header, contract.SMALLEST_SLICE)
    contract.check_colour(header)
    channels, side = spec.inputs[0].dims[0], spec.inputs[0].dims[-1]
    photometric = contract.text(header, "PhotometricInterpretation")
    values, decoded_at = _decoded(image, index)
    if photometric == "PALETTE COLOR":
        picture = coloured(values, header, big=image.syntax == EXPLICIT_BIG)
    else:
        picture = _eight_bits(values, header)
    if photometric == "MONOCHROME1":
        picture = 255 - picture
    if picture.ndim == 3 and channels == 1:
        picture = np.asarray(cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    small, geometry = resized(picture, side)
    contract.check_filled(small)
    if small.ndim == 2:
        tensor = np.repeat(_padded(small, geometry, 0), channels, axis=0)
    else:
        tensor = np.concatenate([_padded(small[:, :, channel], geometry, 0) for channel in range(3)])
    return PixelFrame(tensor, geometry, decoded_at=decoded_at)


def _eight_bits(values: Values, header: Attributes) -> NDArray[np.uint8]:
    above = Form.of(header).stored - 8
    return np.asarray(values >> above if above > 0 else values, dtype=np.uint8)


def fit_square(pixels: Gray, top: int, side: int) -> tuple[Gray, Geometry]:
    """Area-resize so that the longer side is ``side``, pad by the border's values, spread 0..top to 16 bits.

    Returns shape (1, side, side) and the geometry. Box filtering is pinned: a single case moves with the kernel.
    """
    small, geometry = resized(pixels, side)
    return _spread(small, top, geometry), geometry


def resized(pixels: Values, side: int, shape: tuple[int, int] | None = None) -> tuple[Values, Geometry]:
    """Average over areas so that the longer side is ``side``; enlarge linearly.

    Halves while that is exact, which costs a tenth of one long step and differs by a rounding. ``shape`` is the original's
    rows and columns where ``pixels`` is a reduced decode of it. Returns the picture without padding, and the geometry.
    """
    rows, columns = shape or (pixels.shape[0], pixels.shape[1])
    scale = side / max(rows, columns)
    height, width = max(1, round(rows * scale)), max(1, round(columns * scale))
    geometry = Geometry(rows, columns, side, scale, (side - width) // 2, (side - height) // 2)
    small: NDArray[Any] = pixels
    while (
        not (small.shape[0] % 2 or small.shape[1] % 2)
        and small.shape[0] >= 2 * height
        and small.shape[1] >= 2 * width
    ):
        small = cv2.resize(small, (small.shape[1] // 2, small.shape[0] // 2), interpolation=cv2.INTER_AREA)
    if small.shape[:2] != (height, width):
        kernel = cv2.INTER_AREA if small.shape[0] > height or small.shape[1] > width else cv2.INTER_LINEAR
        small = cv2.resize(small, (width, height), interpolation=kernel)
    return small, geometry


def _spread(small: Values, top: int, geometry: Geometry) -> Gray:
    """0..top to 16 bits, padded by the border's values to (1, side, side)."""
    spread = small.astype(np.float32)
    spread *= np.float32(65535 / top)
    return _padded(np.rint(np.minimum(spread, 65535)).astype(np.uint16), geometry, None)


def _padded(small: NDArray[Any], geometry: Geometry, value: int | None) -> NDArray[Any]:
    """(1, side, side) with ``value``, or the border's values, around the picture."""
    height, width = small.shape
    if height == width == geometry.side:
        return small[None]
    below, right = geometry.side - height - geometry.top, geometry.side - width - geometry.left
    edges = ((geometry.top, below), (geometry.left, right))
    if value is None:
        return np.pad(small, edges, mode="edge")[None]
    return np.pad(small, edges, constant_values=value)[None]


def _levels_to_spare(header: Attributes, least: int) -> int:
    """How often the image can be halved and still have ``least`` pixels on its longer side.

    An X-ray keeps twice the input's pixels per side: it has so many that more is hardly faster, and its findings are fine. A
    slice keeps as many as the input has: one of 512 pixels for an input of 192 is else never decoded at less than its full cost.
    """
    longer = max(int(header.Rows), int(header.Columns))
    return max(0, int(np.log2(longer / least)))


def _dense_is_dark(header: Attributes) -> bool:
    """Whether stored values must be turned for dense tissue to be bright."""
    inverted = contract.text(header, "PhotometricInterpretation") == "MONOCHROME1"
    return inverted != (float(header.get("RescaleSlope") or 1) < 0)


def _padding(stored: Values, header: Attributes) -> NDArray[np.bool_] | None:
    """Where the image is padding (PS3.3 §C.7.5.1.1.2), if it says so and is not nothing else."""
    value, limit = header.get("PixelPaddingValue"), header.get("PixelPaddingRangeLimit")
    if not isinstance(value, int):
        return None
    first = _as_stored(value, stored)
    if isinstance(limit, int):
        first, last = sorted((first, _as_stored(limit, stored)))
        padding = np.asarray((stored >= first) & (stored <= last))
    else:
        padding = np.asarray(stored == first)
    return padding if padding.any() and not padding.all() else None


def _as_stored(value: int, stored: Values) -> int:
    """A value of the header in the sign of the stored ones, which not every writer minds."""
    bits = 8 * stored.dtype.itemsize
    wanted = value & ((1 << bits) - 1)
    return wanted - (1 << bits) if stored.dtype.kind == "i" and wanted >= 1 << (bits - 1) else wanted


def _unpadded(stored: Values, header: Attributes, *, dark: bool) -> Values:
    """Padding takes the darkest real value as it will be shown, so that no statistic sees it."""
    padding = _padding(stored, header)
    if padding is None:
        return stored
    real = stored[~padding]
    filled = stored.copy()
    filled[padding] = real.max() if dark else real.min()
    return filled
