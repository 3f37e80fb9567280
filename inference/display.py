"""A picture that a browser shows, of whatever the decoders can read."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID

from inference.decoding import DECODERS, decode_frame
from inference.frames import DicomImage, open_by_library, refusing
from inference.header import Buffer
from inference.input_contract import check_size, text
from inference.spec import NotAcceptableError


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
    with refusing("header unreadable"):
        image, header = open_by_library(data)
        check_size(header)
        frame = _middle_frame(image, data)
        if text(header, "PhotometricInterpretation") == "PALETTE COLOR":
            frame = apply_color_lut(frame, header)
        if frame.ndim == 3:
            return np.asarray(frame if frame.dtype == np.uint8 else frame // 256, dtype=np.uint8)
        values = _windowed(apply_modality_lut(frame, header), header)
        inverted = text(header, "PhotometricInterpretation") == "MONOCHROME1"
        return _to_bytes(np.asarray(values, dtype=np.float32), inverted=inverted)


def _windowed(values: NDArray[Any], header: Dataset) -> NDArray[Any]:
    """By the first window, or as they are where it has none or one that makes no sense: some writers give a width of 0."""
    try:
        return np.asarray(apply_voi_lut(values, header))
    except (ValueError, TypeError):
        return values


def _middle_frame(image: DicomImage, data: Buffer) -> NDArray[Any]:
    """By our decoders; segmentations of 1 bit, doses of 32 and the like by the DICOM library's."""
    index = (image.frames - 1) // 2
    if image.syntax in DECODERS and image.header.get("BitsAllocated") in {8, 16}:
        return decode_frame(image, index)
    if not _library_knows(image.syntax):
        raise NotAcceptableError("unsupported transfer syntax")
    with refusing("pixel data unreadable"):
        return np.asarray(pixel_array(BytesIO(data), index=index))


def _library_knows(syntax: str) -> bool:
    if UID(syntax) in {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"}:
        return True
    try:
        return bool(get_decoder(UID(syntax)).is_available)
    except RuntimeError:  # a syntax that the library does not know at all
        return False


def _to_bytes(values: NDArray[np.float32], *, inverted: bool) -> NDArray[np.uint8]:
    """Spread the bulk of the values over 0..255."""
    low, high = (float(v) for v in np.percentile(values[::2, ::2], (0.5, 99.5)))
    if high <= low:
        low, high = float(values.min()), float(values.max()) + 1e-6
    gray = np.clip((values - low) * (255 / (high - low)), 0, 255)
    return np.asarray(255 - gray if inverted else gray, dtype=np.uint8)
