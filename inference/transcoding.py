"""HTJ2K as the form for storage and viewing: lossless, a third of the size, and read twenty times as fast as JPEG 2000."""

from __future__ import annotations

from io import BytesIO

import imagecodecs
import numpy as np
import pydicom
from pydicom.encaps import encapsulate_extended
from pydicom.uid import UID

from inference.decoding import Form, decode_frame
from inference.frames import open_image, refusing
from inference.spec import NotAcceptableError
from inference.syntaxes import (
    EXPLICIT_BIG,
    HTJ2K_LOSSLESS,
    JPEG_2000_LOSSLESS,
    JPEG_LOSSLESS,
    JPEG_LOSSLESS_FIRST,
    JPEG_LS,
    NATIVE,
    RLE,
)  # fmt: skip

LOSSLESS = NATIVE - {EXPLICIT_BIG} | {RLE, JPEG_LOSSLESS, JPEG_LOSSLESS_FIRST, JPEG_LS, JPEG_2000_LOSSLESS}
"""What is transcoded. Lossy images stay as they are: decoded and coded again they would only grow. So do those in the retired
byte order, of which every other value would have to be turned as well."""


def to_htj2k(data: bytes) -> bytes | None:
    """The same file in HTJ2K Lossless (1.2.840.10008.1.2.4.201), verified: every stored value of every frame was decoded again.

    None where the file stays as it is: lossy, big-endian or in HTJ2K already, colour that is not RGB, values beyond Bits Stored,
    as old overlays are, which would be lost. Raises :class:`NotAcceptableError` for what cannot be decoded.
    """
    image = open_image(data)
    if image.syntax not in LOSSLESS:
        return None
    with refusing("header unreadable"):
        form = Form.of(image.header)
    coloured = form.samples == 3
    if coloured and form.photometric not in {"RGB", "YBR_RCT"}:
        return None
    frames = []
    for index in range(image.frames):
        values = np.ascontiguousarray(decode_frame(image, index))
        if image.syntax in NATIVE and not coloured and image.frame(index) != _as_written(values):
            return None
        coded = bytes(imagecodecs.htj2k_encode(values, rgb=coloured))
        if not np.array_equal(imagecodecs.htj2k_decode(coded), values):
            raise NotAcceptableError("pixel data unreadable")
        frames.append(coded)
    return _written(data, frames, coloured=coloured)


def _as_written(values: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> bytes:
    return values.astype(values.dtype.newbyteorder("<")).tobytes()


def _written(data: bytes, frames: list[bytes], *, coloured: bool) -> bytes:
    """The file with other pixel data, and an offset for each frame, so that one can be read without the others."""
    with refusing("header unreadable"):
        dataset = pydicom.dcmread(BytesIO(data))
        value, offsets, lengths = encapsulate_extended(frames)
        dataset.PixelData = value
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
        dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths = offsets, lengths
        dataset.file_meta.TransferSyntaxUID = UID(HTJ2K_LOSSLESS)
        if coloured:
            dataset.PhotometricInterpretation, dataset.PlanarConfiguration = "YBR_RCT", 0
        out = BytesIO()
        dataset.save_as(out, implicit_vr=False, little_endian=True)
        return out.getvalue()
