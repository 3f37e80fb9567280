"""A picture that a browser shows, of whatever the decoders can read."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut
from pydicom.pixels.utils import pixel_array

from inference.decoding import DECODERS, decode_frame
from inference.frames import DicomImage, inflated, open_by_library, refusing
from inference.header import Buffer
from inference.input_contract import check_size, text
from inference.spec import NotAcceptableError
from inference.syntaxes import NATIVE, RLE

FAR = 20.0
"""widths from a window's centre at which even a sigmoid is at its end."""
FEWEST_GRAYS = 32
"""of 256, between the darkest and the brightest of a picture; a window that leaves fewer was not made for it."""


def display_image(data: bytes, max_side: int = 1024) -> bytes:
    """JPEG of the file's middle frame for the viewer, longer side at most ``max_side``.

    Uses the file's first window or look-up table (PS3.3 §C.11.2), so that slices of a series are as bright as each other; where
    there is none, or none that shows anything, the range between the 0.5th and 99.5th percentile.
    Raises :class:`NotAcceptableError` for what the installed decoders cannot read.
    """
    picture = Image.fromarray(display_array(data))
    picture.thumbnail((max_side, max_side), Image.Resampling.BOX)
    out = BytesIO()
    picture.save(out, "JPEG", quality=88)
    return out.getvalue()


def display_array(data: bytes) -> NDArray[np.uint8]:
    """The picture of :func:`display_image` before scaling and coding: (rows, columns) or (rows, columns, 3) uint8."""
    with refusing("header unreadable"):
        image, header = open_by_library(data)
        check_size(header)
        frame = _middle_frame(image, data)
        if text(header, "PhotometricInterpretation") == "PALETTE COLOR":
            frame = apply_color_lut(frame, header)
        if frame.ndim == 3:
            return np.asarray(frame if frame.dtype == np.uint8 else frame // 256, dtype=np.uint8)
        values = apply_modality_lut(frame, header)
        gray = _windowed(values, header)
        if gray is None or _bulk(gray)[1] - _bulk(gray)[0] < FEWEST_GRAYS:
            gray = _spread(np.asarray(values, dtype=np.float32))
        inverted = text(header, "PhotometricInterpretation") == "MONOCHROME1"
        return np.asarray(255 - gray if inverted else gray, dtype=np.uint8)


def _windowed(values: NDArray[Any], header: Dataset) -> NDArray[np.float32] | None:
    """Through the first window or table, over 0..255; None without one that makes sense: some writers give a width of 0."""
    try:
        low, high = _ends(header)
        if not np.isfinite(high - low):
            return None
        whole = np.rint(values).astype(np.int32) if header.get("VOILUTSequence") else values
        shown = np.asarray(apply_voi_lut(whole, header), dtype=np.float32)
        return _between(shown, low, high)
    except (ValueError, TypeError, ArithmeticError, LookupError, AttributeError):
        return None


def _ends(header: Dataset) -> tuple[float, float]:
    """What the window, or the table, makes of the darkest and of the brightest; ValueError where there is neither."""
    for table in header.get("VOILUTSequence") or ():
        return 0.0, float(2 ** table.LUTDescriptor[2] - 1)
    if header.get("WindowWidth") is None:
        raise ValueError("no window")
    center, width = (float(np.ravel(header[name].value)[0]) for name in ("WindowCenter", "WindowWidth"))
    low, high = apply_voi_lut(np.array([center - FAR * width, center + FAR * width]), header)
    return float(low), float(high)


def _middle_frame(image: DicomImage, data: Buffer) -> NDArray[Any]:
    """By our decoders; segmentations of 1 bit, doses of 32 and the like by the DICOM library's.

    Native ones and RLE alone: of codestreams whose header says such a depth GDCM, which the library asks, ends the process.
    """
    index = (image.frames - 1) // 2
    if image.syntax not in DECODERS:
        raise NotAcceptableError("unsupported transfer syntax")
    if image.header.get("BitsAllocated") in {8, 16}:
        return decode_frame(image, index)
    if image.syntax not in NATIVE | {RLE}:
        raise NotAcceptableError("unsupported bit depth")
    with refusing("pixel data unreadable"):
        return np.asarray(pixel_array(BytesIO(inflated(data, None)[0]), index=index))


def _spread(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The bulk of the values over 0..255."""
    low, high = _bulk(values)
    if high <= low:
        low, high = float(values.min()), float(values.max()) + 1e-6
    return _between(values, low, high)


def _between(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.float32]:
    """From one value to the other over 0..255, what lies beyond at the ends."""
    return np.asarray(np.clip((values - low) * (255 / (high - low)), 0, 255), dtype=np.float32)


def _bulk(values: NDArray[np.float32]) -> tuple[float, float]:
    """Between which values nearly all lie; every fourth is looked at."""
    low, high = np.percentile(values[::2, ::2], (0.5, 99.5))
    return float(low), float(high)
