"""Pixel Data as an array of stored values, and back: what every step of cleaning pixels stands on.

Only what was decoded is ever written again, so that nothing rides along that nobody looked at: no frame beyond
Number of Frames, no bytes behind an image, no bits above Bits Stored (where old overlays lie).

Frames are read by pydicom and its decoders, not by `inference.decoding`, which is as fast as it can be for one purpose: it gives
a model red, green and blue or a smaller picture, and leaves alone what no model reads. Here every value has to come as it was
written, luminance and single bits included, of every file that some viewer shows; and what models read afterwards is then not
judged by the code that reads it for them. A test holds both to the same values where both read.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.encoders.base import get_encoder
from pydicom.pixels.utils import pack_bits
from pydicom.uid import UID

from stream_processors.deidentification.refusal import RefusedError

Stored = NDArray[np.integer[Any]]
"""(frames, rows, columns, samples), values as stored."""

EXPLICIT: Final = "1.2.840.10008.1.2.1"
BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
NATIVE: Final = frozenset({"1.2.840.10008.1.2", EXPLICIT, BIG_ENDIAN})
REENCODED: Final = frozenset({"1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90"})
"""RLE, JPEG-LS lossless and JPEG 2000 lossless stay what they are; every other compression ends as Explicit VR Little
Endian: there is no encoder for the lossless rest, and lossy ones would change what is outside the boxes."""
LOSSY: Final = {
    "1.2.840.10008.1.2.4.50": b"ISO_10918_1",
    "1.2.840.10008.1.2.4.51": b"ISO_10918_1",
    "1.2.840.10008.1.2.4.81": b"ISO_14495_1",
}
"""Syntaxes that always lose, with the term of Lossy Image Compression Method (PS3.3 §C.7.6.1.1.5.1)."""

MAX_BYTES: Final = 1 << 29
"""bytes of decoded pixels; a cine of 400 frames in colour has some 0.4 GB. More is refused before memory is asked for."""
DELIMITER: Final = b"\xfe\xff\xdd\xe0\0\0\0\0"

DAMAGE: Final = (
    ValueError, TypeError, LookupError, AttributeError, RuntimeError, OSError, EOFError, ArithmeticError,
    AssertionError, MemoryError, struct.error, NotImplementedError,
)  # fmt: skip
"""What the library and its decoders raise on damaged files."""


@dataclass(frozen=True, slots=True)
class Form:
    """The Image Pixel Module, as far as it describes the array (PS3.3 §C.7.6.3)."""

    syntax: str
    rows: int
    columns: int
    frames: int
    samples: int
    photometric: str
    planar: int
    allocated: int
    stored: int
    high: int
    signed: bool
    vr: str

    @property
    def size(self) -> int:
        """Bytes of all frames, decoded."""
        return self.rows * self.columns * self.frames * self.samples * max(self.allocated // 8, 1)

    def options(self) -> dict[str, Any]:
        """Describe the pixels to the library."""
        return {
            "rows": self.rows,
            "columns": self.columns,
            "number_of_frames": self.frames,
            "samples_per_pixel": self.samples,
            "photometric_interpretation": self.photometric,
            "bits_allocated": self.allocated,
            "bits_stored": self.stored,
            "pixel_representation": int(self.signed),
            "pixel_keyword": "PixelData",
            **({"planar_configuration": self.planar} if self.samples > 1 else {}),
        }


def form_of(dataset: Dataset, syntax: str) -> Form:
    """Read what describes the pixels.

    Raises
    ------
    RefusedError
        pixels-unreadable, for what no image has; pixels-too-large.
    """
    try:
        form = Form(
            syntax,
            int(dataset.Rows),
            int(dataset.Columns),
            int(dataset.get("NumberOfFrames") or 1),
            int(dataset.get("SamplesPerPixel") or 1),
            str(dataset.PhotometricInterpretation).strip(),
            int(dataset.get("PlanarConfiguration") or 0),
            int(dataset.BitsAllocated),
            int(dataset.BitsStored),
            int(dataset.HighBit),
            bool(dataset.get("PixelRepresentation") or 0),
            str(dataset.get_item(0x7FE00010).VR or "OW"),
        )
    except DAMAGE:
        raise RefusedError("pixels-unreadable") from None
    sound = (
        form.rows > 0 and form.columns > 0 and form.frames > 0 and form.samples in (1, 3)
        and form.allocated in (1, 8, 16) and 1 <= form.stored <= form.allocated
        and form.high == form.stored - 1 and form.planar in (0, 1)
    )  # fmt: skip
    if not sound:
        raise RefusedError("pixels-unreadable")
    if form.size > MAX_BYTES:
        raise RefusedError("pixels-too-large")
    return form


def decoded(value: bytes, form: Form) -> tuple[Stored, Form]:
    """Decode all frames; the form tells what the array holds, which a codec may have changed (YBR_RCT: RGB).

    Raises
    ------
    RefusedError
        pixels-unreadable.
    """
    options = form.options()
    if form.syntax in NATIVE:
        options["pixel_vr"] = form.vr if form.vr in ("OB", "OW") else "OW"
    try:
        array, meta = get_decoder(UID(form.syntax)).as_array(value, raw=True, **options)
    except DAMAGE:
        raise RefusedError("pixels-unreadable") from None
    shape = (form.frames, form.rows, form.columns, form.samples)
    if array.size != form.frames * form.rows * form.columns * form.samples:
        raise RefusedError("pixels-unreadable")
    values = np.array(array.reshape(shape))
    photometric = str(meta["photometric_interpretation"]).replace(
        "YBR_FULL_422", "YBR_FULL"
    )  # every pixel has its colour now
    return _without_unused_bits(values, form), replace(form, photometric=photometric)


def _without_unused_bits(values: Stored, form: Form) -> Stored:
    """Keep the stored bits, and the sign that they say."""
    spare = values.dtype.itemsize * 8 - form.stored
    if spare <= 0 or form.allocated == 1:
        return values
    unsigned = values.view(np.dtype(f"u{values.dtype.itemsize}"))
    shifted = np.left_shift(unsigned, spare).view(values.dtype)
    kept: Stored = np.right_shift(shifted, spare)
    return kept


def coded(values: Stored, form: Form) -> tuple[bytes, Form]:
    """Write all frames: in the source's own syntax where it loses nothing and can be written, else natively."""
    if form.syntax in REENCODED:
        try:
            return _encapsulated(values, form), form
        except DAMAGE:
            pass
    if form.syntax in NATIVE:
        return _native(values, form), form
    native = replace(form, syntax=EXPLICIT, planar=0, vr="OB" if form.allocated <= 8 else "OW")
    return _native(values, native), native


def _encapsulated(values: Stored, form: Form) -> bytes:
    options = form.options() | {"number_of_frames": 1}
    if form.samples > 1:
        options["planar_configuration"] = 0
    encoder = get_encoder(UID(form.syntax))
    frames = []
    for frame in values:
        plain = np.ascontiguousarray(frame if form.samples > 1 else frame[:, :, 0])
        frames.append(bytes(encoder.encode(plain, **options)))
    return bytes(encapsulate(frames, has_bot=True)) + DELIMITER


def _native(values: Stored, form: Form) -> bytes:
    if form.allocated == 1:
        data = bytes(pack_bits(values.reshape(-1).astype(np.uint8), pad=False))
    else:
        order: Literal["<", ">"] = ">" if form.syntax == BIG_ENDIAN else "<"
        if form.planar and form.samples > 1:
            values = values.transpose(0, 3, 1, 2)
        data = np.ascontiguousarray(values).astype(values.dtype.newbyteorder(order), copy=False).tobytes()
    data += bytes(len(data) % 2)
    if form.syntax == BIG_ENDIAN and form.allocated <= 8 and form.vr == "OW":
        return np.frombuffer(data, np.uint16).byteswap().tobytes()
    return data
