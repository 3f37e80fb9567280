"""Codestreams to stored values: one decoder per transfer syntax, pinned, because which one is used changes the cost twentyfold.

Stored values come as they were written: unsigned or two's complement, without rescale, palette or window. What cleans pixels
reads them by pydicom instead, see :mod:`stream_processors.deidentification.frames`; a test holds both to the same values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import cv2
import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inference.codestreams import (
    SIZ,
    SIZES,
    declared_form,
    decompositions,
    has_colour_transform,
    is_quantised,
    is_reversible,
    precision,
    says_signed,
    segments,
)  # fmt: skip
from inference.frames import DicomImage, refusing
from inference.header import Attributes, Buffer
from inference.spec import NotAcceptableError
from inference.syntaxes import (
    EXPLICIT_BIG,
    HTJ2K,
    HTJ2K_LOSSLESS,
    HTJ2K_LOSSLESS_RPCL,
    JPEG_2000,
    JPEG_2000_LOSSLESS,
    JPEG_BASELINE,
    JPEG_EXTENDED,
    JPEG_LOSSLESS,
    JPEG_LOSSLESS_FIRST,
    JPEG_LS,
    JPEG_LS_NEAR,
    NATIVE,
    RLE,
)  # fmt: skip

Values = NDArray[np.integer[Any]]

cv2.setNumThreads(1)
"""A worker process per core does the sharing; threads that wait for each other only cost."""

HIGH_THROUGHPUT = frozenset({HTJ2K_LOSSLESS, HTJ2K_LOSSLESS_RPCL, HTJ2K})
REDUCIBLE = frozenset({JPEG_2000_LOSSLESS, JPEG_2000}) | HIGH_THROUGHPUT
"""Syntaxes whose lower resolutions are worth the small error: full decodes take 90 and 8 times as long as a raw read."""

JFIF, ADOBE = (0xE0, b"JFIF"), (0xEE, b"Adobe")
"""Markers that say how a JPEG's colours are stored, and how they begin (ITU-T T.871 §10.1, T.872 §6.5.3)."""
END, TAIL = b"\xff\xd9", 4096
"""How every codestream ends (EOI, EOC), and the bytes at its end in which that is looked for: some writers pad generously."""
JP2 = b"\0\0\0\x0cjP  "
"""How a JPEG 2000 file begins, which some writers put where the codestream belongs (ITU-T T.800 §I.5.1)."""


@dataclass(frozen=True)
class Form:
    """Image Pixel module of a frame (PS3.3 §C.7.6.3)."""

    rows: int
    columns: int
    samples: int
    allocated: int
    stored: int
    signed: bool
    planar: bool
    photometric: str

    @classmethod
    def of(cls, header: Attributes) -> Form:
        """Read it; raises :class:`NotAcceptableError` for bit depths that no decoder here gives."""
        allocated, stored = int(header.get("BitsAllocated") or 0), int(header.get("BitsStored") or 0)
        if allocated not in {8, 16} or not 1 <= stored <= allocated:
            raise NotAcceptableError("unsupported bit depth")
        return cls(
            rows=int(header.Rows),
            columns=int(header.Columns),
            samples=int(header.get("SamplesPerPixel") or 1),
            allocated=allocated,
            stored=stored,
            signed=int(header.get("PixelRepresentation") or 0) == 1,
            planar=int(header.get("PlanarConfiguration") or 0) == 1,
            photometric=str(header.get("PhotometricInterpretation") or "").strip().upper(),
        )

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of one stored value."""
        return np.dtype(f"{'i' if self.signed else 'u'}{self.allocated // 8}")


def decode_frame(image: DicomImage, index: int = 0) -> Values:
    """Stored values of a frame: (rows, columns), or (rows, columns, 3) in the order of red, green, blue.

    Values come in the frame's dtype, with what lies above Bits Stored removed or the sign extended. Native frames are views of
    the file: do not write into them. Raises :class:`NotAcceptableError`.
    """
    form = Form.of(image.header)
    decode = DECODERS.get(image.syntax)
    if decode is None:
        raise NotAcceptableError("unsupported transfer syntax")
    data = _codestream(image, index)
    with refusing("pixel data unreadable"):
        if image.syntax not in NATIVE:
            _check_codestream(data, form, image.syntax)
        values = decode(data, form)
        if values.shape[:2] != (form.rows, form.columns) or values.ndim != (2 if form.samples == 1 else 3):
            raise NotAcceptableError("pixel data unreadable")
        values = as_stored(values, form)
        return _rgb(values, form) if form.samples == 3 and _is_luminance(image, form, data) else values


def decode_reduced(image: DicomImage, index: int, levels: int) -> Values | None:
    """A JPEG 2000 or HTJ2K frame of one sample at a 2^levels-th of its size, or None where only the full frame is to be had.

    The lower resolution is sampled at every 2^levels-th pixel, not at the middle of what it stands for: it is shifted by
    (2^levels - 1)/2 pixels, so that it lies where an average would. Raises :class:`NotAcceptableError`.
    """
    form = Form.of(image.header)
    if image.syntax not in REDUCIBLE or levels < 1 or form.samples != 1 or form.signed:
        return None
    data = _codestream(image, index)
    with refusing("pixel data unreadable"):
        _check_codestream(data, form, image.syntax)
        if decompositions(data) < levels or says_signed(data):
            return None
        values = _lower_resolution(image.syntax, data, levels, form.stored)
        if values is None or values.dtype != np.dtype(np.uint16) or values.ndim != 2:
            return None
        shift = (2**levels - 1) / 2 ** (levels + 1)
        move = np.array([[1, 0, shift], [0, 1, shift]], dtype=np.float64)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        size = (values.shape[1], values.shape[0])
        moved = cv2.warpAffine(values, move, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved)


def _lower_resolution(syntax: str, data: Buffer, levels: int, stored: int) -> Values | None:
    if syntax not in HIGH_THROUGHPUT:
        return _lower_jpeg_2000(data, levels)
    return _lower_htj2k(data, levels, stored) if stored < 16 else None


def _lower_jpeg_2000(data: Buffer, levels: int) -> Values:
    picture = Image.open(BytesIO(data), formats=("JPEG2000",))
    picture.reduce = levels  # type: ignore[method-assign,assignment]  # this plugin's own
    values = np.asarray(picture)
    # The library spreads what has fewer bits over 16.
    return values >> (16 - precision(data)) if values.dtype == np.dtype(np.uint16) else values


def _lower_htj2k(data: Buffer, levels: int, stored: int) -> Values:
    """A wavelet's averages overshoot at edges, and this library does not clip them: below 0 they come as 65536 less.

    With 16 bits stored these could not be told from bright ones.
    """
    values = np.asarray(imagecodecs.htj2k_decode(bytes(data), skipres=levels))
    if values.dtype != np.dtype(np.uint16):
        return values
    return np.clip(values.view(np.int16), 0, (1 << stored) - 1).view(np.uint16)


def as_stored(values: Values, form: Form) -> Values:
    """Decoded values in the frame's dtype: two's complement where the header says signed, whatever the codestream said."""
    if not form.signed:
        if values.dtype.kind == "i":
            values = values.view(f"u{values.dtype.itemsize}")
        top = (1 << form.stored) - 1
        if form.stored < 8 * values.dtype.itemsize and values.size and int(values.max()) > top:
            values = values & top  # a copy, and seldom needed
        return values.astype(form.dtype, copy=False)
    if values.dtype.kind == "u":
        values = values.view(f"i{values.dtype.itemsize}")
    above, half = 8 * values.dtype.itemsize - form.stored, 1 << (form.stored - 1)
    if above > 0 and values.size and (int(values.min()) < -half or int(values.max()) >= half):
        shift = values.dtype.type(above)
        values = (values << shift) >> shift  # a copy, and seldom needed
    return values.astype(form.dtype, copy=False)


def _native(data: Buffer, form: Form) -> Values:
    if form.photometric.startswith("YBR_FULL_422"):
        return _upsampled(np.frombuffer(data, np.uint8), form)
    values = np.frombuffer(data, form.dtype.newbyteorder("<"))
    return _shaped(values, form)


def _native_big(data: Buffer, form: Form) -> Values:
    return _shaped(np.frombuffer(data, form.dtype.newbyteorder(">")).astype(form.dtype), form)


def _shaped(values: Values, form: Form) -> Values:
    count = form.rows * form.columns * form.samples
    if form.samples == 1:
        return values[:count].reshape(form.rows, form.columns)
    if form.planar:
        return np.moveaxis(values[:count].reshape(form.samples, form.rows, form.columns), 0, -1)
    return values[:count].reshape(form.rows, form.columns, form.samples)


def _upsampled(values: NDArray[np.uint8], form: Form) -> Values:
    """Y Y Cb Cr for every two pixels (PS3.3 §C.7.6.3.1.2) to one of each per pixel."""
    pairs = values[: form.rows * form.columns * 2].reshape(-1, 4)
    out = np.empty((len(pairs), 2, 3), dtype=np.uint8)
    out[:, :, 0], out[:, :, 1], out[:, :, 2] = pairs[:, :2], pairs[:, 2:3], pairs[:, 3:4]
    return out.reshape(form.rows, form.columns, 3)


def _rle(data: Buffer, form: Form) -> Values:
    values = np.frombuffer(imagecodecs.dicomrle_decode(bytes(data), form.dtype), form.dtype)
    if form.samples == 1:
        return _shaped(values, form)
    return np.moveaxis(values.reshape(form.samples, form.rows, form.columns), 0, -1)


def _jpeg(data: Buffer, form: Form) -> Values:
    if form.samples == 1:
        return np.asarray(imagecodecs.jpeg8_decode(bytes(data)))
    stored_as = _stored_colours(data) or ("RGB" if form.photometric == "RGB" else "YCBCR")
    return np.asarray(imagecodecs.jpeg8_decode(bytes(data), colorspace=stored_as, outcolorspace="RGB"))


def _stored_colours(data: Buffer) -> str:
    """What a JPEG itself says its three components are, in the order in which its decoders believe it; nothing if it does not.

    Headers say RGB of many a stream that was written as luminance and colour differences.
    """
    adobe = ""
    for marker, at in segments(data):
        start = bytes(data[at + 4 : at + 16])
        if marker == JFIF[0] and start.startswith(JFIF[1]):
            return "YCBCR"
        if marker == ADOBE[0] and start.startswith(ADOBE[1]) and len(start) == 12:
            adobe = "YCBCR" if start[11] else "RGB"
        if marker in SIZES:
            components = bytes(data[at + 10 : at + 19 : 3])
            return adobe or ("RGB" if components == b"RGB" else "")
    return adobe


def _jpeg_lossless(data: Buffer, form: Form) -> Values:
    """The fast decoder knows one sample and predictor 1 at its best; the other knows all."""
    if form.samples == 1:
        return np.asarray(imagecodecs.ljpeg_decode(bytes(data))).reshape(form.rows, form.columns)
    return np.asarray(imagecodecs.jpegsof3_decode(bytes(data)))


def _jpeg_ls(data: Buffer, _form: Form) -> Values:
    return np.asarray(imagecodecs.jpegls_decode(bytes(data)))


def _jpeg_2000(data: Buffer, _form: Form) -> Values:
    return np.asarray(imagecodecs.jpeg2k_decode(bytes(data), numthreads=1))


def _htj2k(data: Buffer, form: Form) -> Values:
    """The fast decoder lets what a lossy wavelet overshoots wrap around, from black to white; the other holds it."""
    return (
        np.asarray(imagecodecs.htj2k_decode(bytes(data))) if is_reversible(data) else _jpeg_2000(data, form)
    )


DECODERS: Mapping[str, Callable[[Buffer, Form], Values]] = {
    **dict.fromkeys(NATIVE - {EXPLICIT_BIG}, _native),
    EXPLICIT_BIG: _native_big,
    RLE: _rle,
    **dict.fromkeys((JPEG_BASELINE, JPEG_EXTENDED), _jpeg),
    **dict.fromkeys((JPEG_LOSSLESS, JPEG_LOSSLESS_FIRST), _jpeg_lossless),
    **dict.fromkeys((JPEG_LS, JPEG_LS_NEAR), _jpeg_ls),
    **dict.fromkeys((JPEG_2000_LOSSLESS, JPEG_2000), _jpeg_2000),
    **dict.fromkeys((HTJ2K_LOSSLESS, HTJ2K_LOSSLESS_RPCL), _htj2k),
    HTJ2K: _jpeg_2000,
}
"""The decoder of each transfer syntax; what is not here is refused."""


def _is_luminance(image: DicomImage, form: Form, data: Buffer) -> bool:
    """Whether decoded samples are still luminance and two colour differences: the JPEG decoder undoes it itself, those of
    JPEG 2000 only what the codestream says was done in it.
    """
    if not form.photometric.startswith("YBR_FULL") or form.allocated != 8:
        return False
    if image.syntax in REDUCIBLE:
        return not has_colour_transform(data)
    return image.syntax not in {JPEG_BASELINE, JPEG_EXTENDED}


def _rgb(values: Values, _form: Form) -> Values:
    """YBR_FULL to RGB (PS3.3 §C.7.6.3.1.2); the library wants Cr before Cb."""
    swapped = np.ascontiguousarray(values[:, :, (0, 2, 1)])
    return np.asarray(cv2.cvtColor(swapped, cv2.COLOR_YCrCb2RGB))


def _codestream(image: DicomImage, index: int) -> Buffer:
    """Bytes of a frame, of a JPEG 2000 file the codestream within."""
    data = image.frame(index)
    if image.syntax in REDUCIBLE and bytes(data[: len(JP2)]) == JP2:
        start = bytes(data[:TAIL]).find(b"\xff\x4f" + SIZ)
        if start < 0:
            raise NotAcceptableError("pixel data unreadable")
        return data[start:]
    return data


def _check_codestream(data: Buffer, form: Form, syntax: str) -> None:
    """Refuse a codestream that is larger than its header says, before a decoder asks for its memory, and one without an end.

    Decoders fill up what is missing and say nothing, all but those of RLE and of JPEG 2000.
    """
    if syntax == RLE:
        return
    if declared_form(data) != (form.rows, form.columns, form.samples):
        raise NotAcceptableError("pixel data unreadable")
    if syntax in HIGH_THROUGHPUT and not is_quantised(data):
        raise NotAcceptableError("pixel data unreadable")
    if syntax not in {JPEG_2000_LOSSLESS, JPEG_2000} and END not in bytes(data[-TAIL:]):
        raise NotAcceptableError("pixel data truncated")
