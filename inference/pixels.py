"""From the bytes of a DICOM file to what a model reads, and to a picture a browser shows.

The contract is checked on every image, before any number is computed: a picture of another kind is refused with a
reason, never guessed at. Stored values are resized first and scaled afterwards: both are linear, and the small image
is cheap to scale.
"""

from __future__ import annotations

import logging
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian

from inference.spec import ModelSpec, NotAcceptableError

Gray = NDArray[np.uint16]

REASONS = frozenset(
    {
        "not a DICOM file", "header unreadable", "no pixel data", "wrong modality", "wrong body part", "wrong view",
        "view unknown", "more than one frame", "colour image", "signed pixel values", "unsupported bit depth", "absurd size",
        "unsupported transfer syntax", "pixel data truncated", "pixel data unreadable", "constant image",
        "non-square pixels",
    }
)  # fmt: skip
"""Every reason that :class:`NotAcceptableError` may carry from here."""

DAMAGE = (
    ValueError, TypeError, LookupError, AttributeError, RuntimeError, OSError, EOFError, ArithmeticError,
    AssertionError, MemoryError, struct.error, InvalidDicomError, BytesLengthException,
)  # fmt: skip
"""What the DICOM library and its decoders raise on damaged files; elements are parsed when they are first asked for."""

warnings.filterwarnings("ignore", module=r"pydicom\.")
logging.getLogger("pydicom").setLevel(logging.CRITICAL)
"""The library's warnings and logs quote values. Set once: to set it per call is not safe among threads."""

SMALLEST_SIDE, LARGEST_SIDE = 128, 8192
"""Rows and columns a projection X-ray can have; outside lie thumbnails and corrupt headers."""
LARGEST_PIXELS = 36_000_000
"""Pixels per frame: a 43 cm detector at 0.075 mm has 33 million."""
NATIVE = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.1"})
"""Implicit and explicit VR little endian: read without a decoder."""
SQUARE_TOLERANCE = 0.02
"""Relative difference of row and column spacing that still counts as square."""


@dataclass(frozen=True)
class Geometry:
    """How the model's square lies over the original image: scaled by ``scale``, then shifted by the offsets."""

    rows: int
    columns: int
    side: int
    scale: float
    """Model pixels per original pixel."""
    left: int
    top: int
    """Padding of the square, in model pixels."""

    def to_original(self, box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        """Box (x0, y0, x1, y1) in model pixels to original columns and rows, clipped to the image."""
        x0, y0, x1, y1 = box
        return (
            min(max((x0 - self.left) / self.scale, 0.0), float(self.columns)),
            min(max((y0 - self.top) / self.scale, 0.0), float(self.rows)),
            min(max((x1 - self.left) / self.scale, 0.0), float(self.columns)),
            min(max((y1 - self.top) / self.scale, 0.0), float(self.rows)),
        )


@dataclass(frozen=True)
class PixelFrame:
    """``tensor`` (1, side, side) as the model's input wants it, and where it came from."""

    tensor: NDArray[np.integer]
    geometry: Geometry


def frame_for_model(data: bytes, spec: ModelSpec) -> PixelFrame:
    """Read a DICOM file for ``spec``, or raise :class:`NotAcceptableError`.

    Values are inverted for MONOCHROME1 (PS3.3 §C.7.6.3.1.2) and for a negative rescale slope, so that dense tissue is
    bright, and spread to 16 bits.
    """
    with _refusing("header unreadable"):
        dataset = _read(data)
        _check_kind(dataset, spec)
        if spec.reading.values != "density":
            return _other_frame(dataset, spec)
        _check_form(dataset)
        stored, top = _dense_bright(dataset)
    if int(stored.min()) == int(stored.max()):
        raise NotAcceptableError("constant image")
    tensor, geometry = fit_square(stored, top, spec.inputs[0].dims[-1])
    return PixelFrame(tensor, geometry)


def _other_frame(dataset: Dataset, spec: ModelSpec) -> PixelFrame:
    """CT, MR or US: the middle frame as :class:`inference.spec.Reading` says."""
    _check_size(dataset)
    values, side = spec.reading.values, spec.inputs[0].dims[-1]
    frame = _decoded(dataset, (int(dataset.get("NumberOfFrames") or 1) - 1) // 2)
    if values == "colour":
        colour = frame if frame.ndim == 3 else np.repeat(frame[..., None], 3, axis=2)
        parts = [fit_square(np.asarray(colour[..., i], dtype=np.uint16), 255, side) for i in range(3)]
        return PixelFrame(np.concatenate([each // 257 for each, _ in parts]).astype(np.uint8), parts[0][1])
    real = np.asarray(apply_modality_lut(frame, dataset), dtype=np.float32)
    if values == "hounsfield":
        tensor, geometry = fit_square(np.clip(np.rint(real) + 1024, 0, 65535).astype(np.uint16), 65535, side)
        return PixelFrame((tensor.astype(np.int32) - 1024).astype(np.int16), geometry)
    top = max(1.0, float(real.max()))
    tensor, geometry = fit_square(
        np.rint(np.clip(real, 0, top) * (65535 / top)).astype(np.uint16), 65535, side
    )
    return PixelFrame(tensor, geometry)


def _dense_bright(dataset: Dataset) -> tuple[Gray, int]:
    """Stored values, turned so that dense tissue is bright, and the greatest value they can have."""
    stored = _stored_values(dataset)
    top = (1 << int(dataset.BitsStored)) - 1
    padding = _padding(dataset, stored)
    np.bitwise_and(stored, top, out=stored)  # overlay bits may sit above the stored ones
    if _dense_is_dark(dataset):
        np.subtract(top, stored, out=stored)
    if padding is not None:
        stored[padding] = stored[~padding].min()  # so that no statistic sees it
    return stored, top


def fit_square(pixels: Gray, top: int, side: int) -> tuple[Gray, Geometry]:
    """Area-resize so that the longer side is ``side``, pad by the border's values, spread 0..top to 16 bits.

    Returns shape (1, side, side) and the geometry. Box filtering is pinned: a single case moves with the kernel.
    """
    rows, columns = pixels.shape
    scale = side / max(rows, columns)
    height, width = max(1, round(rows * scale)), max(1, round(columns * scale))
    small = np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BOX))
    up, left = (side - height) // 2, (side - width) // 2
    padded = np.pad(small, ((up, side - height - up), (left, side - width - left)), mode="edge")
    spread = np.rint(padded.astype(np.float32) * np.float32(65535 / top)).astype(np.uint16)
    return spread[None], Geometry(rows, columns, side, scale, left, up)


def display_image(data: bytes, max_side: int = 1024) -> bytes:
    """JPEG of the file's middle frame for the viewer, longer side at most ``max_side``.

    Uses the file's first window where it has one (PS3.3 §C.11.2), else the range between the 0.5th and 99.5th
    percentile. Raises :class:`NotAcceptableError` for what the installed decoders cannot read.
    """
    picture = Image.fromarray(display_array(data))
    picture.thumbnail((max_side, max_side), Image.Resampling.BOX)
    out = BytesIO()
    picture.save(out, "JPEG", quality=88)
    return out.getvalue()


def display_array(data: bytes) -> NDArray[np.uint8]:
    """The picture of :func:`display_image` before scaling and coding: (rows, columns) or (rows, columns, 3) uint8."""
    with _refusing("header unreadable"):
        dataset = _read(data)
        _check_size(dataset)
        frame = _decoded(dataset, (int(dataset.get("NumberOfFrames") or 1) - 1) // 2)
        if frame.ndim == 3:
            return np.asarray(frame if frame.dtype == np.uint8 else frame // 256, dtype=np.uint8)
        values = apply_modality_lut(frame, dataset)
        if "WindowWidth" in dataset or "VOILUTSequence" in dataset:
            values = apply_voi_lut(values, dataset)
        return _to_bytes(np.asarray(values, dtype=np.float32), inverted=_is_inverted(dataset))


@contextmanager
def _refusing(reason: str) -> Iterator[None]:
    """Turn what damage raises into a refusal. The cause is cut off: it may quote the file."""
    try:
        yield
    except DAMAGE:
        raise NotAcceptableError(reason) from None


def _to_bytes(values: NDArray[np.float32], *, inverted: bool) -> NDArray[np.uint8]:
    """Spread the bulk of the values over 0..255."""
    low, high = (float(v) for v in np.percentile(values[::2, ::2], (0.5, 99.5)))
    if high <= low:
        low, high = float(values.min()), float(values.max()) + 1e-6
    gray = np.clip((values - low) * (255 / (high - low)), 0, 255)
    return np.asarray(255 - gray if inverted else gray, dtype=np.uint8)


def _read(data: bytes) -> Dataset:
    """Parse the file; one that is not DICOM, or has no image, is refused."""
    with _refusing("not a DICOM file"):
        dataset = pydicom.dcmread(BytesIO(data))
    if "PixelData" not in dataset:
        raise NotAcceptableError("no pixel data")
    return dataset


def _check_kind(dataset: Dataset, spec: ModelSpec) -> None:
    """Modality, body part and view must be ones that the model was made for; an unknown view is not."""
    if _text(dataset, "Modality") not in spec.modalities:
        raise NotAcceptableError("wrong modality")
    if _text(dataset, "BodyPartExamined") not in spec.body_parts:
        raise NotAcceptableError("wrong body part")
    view = _text(dataset, "ViewPosition")
    if not spec.views:
        return
    if not view:
        raise NotAcceptableError("view unknown")
    if view not in spec.views:
        raise NotAcceptableError("wrong view")


def _check_form(dataset: Dataset) -> None:
    """One grayscale frame of unsigned values with square pixels."""
    if int(dataset.get("NumberOfFrames") or 1) != 1:
        raise NotAcceptableError("more than one frame")
    if int(dataset.get("SamplesPerPixel") or 1) != 1 or not _text(
        dataset, "PhotometricInterpretation"
    ).startswith("MONOCHROME"):
        raise NotAcceptableError("colour image")
    if int(dataset.get("PixelRepresentation") or 0) != 0:
        raise NotAcceptableError("signed pixel values")
    if dataset.get("BitsAllocated") not in (8, 16) or not 6 <= int(dataset.get("BitsStored") or 0) <= 16:
        raise NotAcceptableError("unsupported bit depth")
    _check_size(dataset)
    spacing = dataset.get("PixelSpacing") or dataset.get("ImagerPixelSpacing")
    if spacing and abs(float(spacing[0]) / float(spacing[1]) - 1) > SQUARE_TOLERANCE:
        raise NotAcceptableError("non-square pixels")


def _check_size(dataset: Dataset) -> None:
    """Refuse a size that no image of this kind has, before memory is asked for."""
    rows, columns = int(dataset.get("Rows") or 0), int(dataset.get("Columns") or 0)
    if rows <= 0 or columns <= 0 or max(rows, columns) > LARGEST_SIDE or rows * columns > LARGEST_PIXELS:
        raise NotAcceptableError("absurd size")


def _stored_values(dataset: Dataset) -> Gray:
    """Stored pixel values as uint16, straight from the bytes where the transfer syntax is native."""
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    if min(rows, columns) < SMALLEST_SIDE:
        raise NotAcceptableError("absurd size")
    if _transfer_syntax(dataset) not in NATIVE:
        return np.array(_decoded(dataset, 0), dtype=np.uint16)
    dtype = np.dtype("<u2") if dataset.BitsAllocated == 16 else np.dtype("u1")
    if len(dataset.PixelData) < rows * columns * dtype.itemsize:
        raise NotAcceptableError("pixel data truncated")
    values = np.frombuffer(dataset.PixelData, dtype, count=rows * columns).reshape(rows, columns)
    return np.array(values, dtype=np.uint16)


def _decoded(dataset: Dataset, index: int) -> NDArray[np.integer]:
    """One frame by the installed decoders."""
    if not _has_decoder(dataset):
        raise NotAcceptableError("unsupported transfer syntax")
    with _refusing("pixel data unreadable"):
        return np.asarray(pixel_array(dataset, index=index))


def _has_decoder(dataset: Dataset) -> bool:
    """Whether something installed reads this transfer syntax."""
    syntax = _transfer_syntax(dataset)
    if syntax in NATIVE | {ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian}:
        return True
    try:
        return bool(get_decoder(UID(syntax)).is_available)
    except RuntimeError:  # a syntax that the library does not know at all
        return False


def _transfer_syntax(dataset: Dataset) -> str:
    return str(dataset.file_meta.get("TransferSyntaxUID") or "1.2.840.10008.1.2")


def _is_inverted(dataset: Dataset) -> bool:
    """Whether low values are bright on the screen."""
    return _text(dataset, "PhotometricInterpretation") == "MONOCHROME1"


def _dense_is_dark(dataset: Dataset) -> bool:
    """Whether stored values must be turned for dense tissue to be bright."""
    return _is_inverted(dataset) != (float(dataset.get("RescaleSlope") or 1) < 0)


def _padding(dataset: Dataset, stored: Gray) -> NDArray[np.bool_] | None:
    """Where the image is padding (PS3.3 §C.7.5.1.1.2), if it says so and is not nothing else."""
    value = dataset.get("PixelPaddingValue")
    if not isinstance(value, int):
        return None
    padding = stored == (value & 0xFFFF)
    return padding if padding.any() and not padding.all() else None


def _text(dataset: Dataset, keyword: str) -> str:
    return str(dataset.get(keyword) or "").strip().upper()
