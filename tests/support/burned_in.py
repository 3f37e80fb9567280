"""Images with text drawn into them, in every form that Pixel Data takes."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian

from stream_processors.deidentification.frames import Form, coded
from stream_processors.deidentification.pictures import Picture
from stream_processors.deidentification.pixel_cleaning import Task, clean
from stream_processors.deidentification.pixel_process import Answer
from stream_processors.deidentification.regions import Box
from tests.support.dicoms import DEFAULT, Options, to_bytes, ultrasound

ROWS, COLUMNS = 64, 96
TEXT = Box(8, 6, 80, 22)
"""Where the text is drawn."""
RLE, JPEG_LS, JPEG_2000 = (
    "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.90",
)
IMPLICIT, EXPLICIT, DEFLATED, BIG = (
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.2",
)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """How an image is stored."""

    syntax: str = EXPLICIT
    photometric: str = "MONOCHROME2"
    bits: int = 8
    stored: int = 0
    signed: bool = False
    planar: int = 0
    frames: int = 1

    @property
    def samples(self) -> int:
        return 3 if self.photometric[:3] in ("RGB", "YBR") else 1


def glyphs(text: str = "DOE^JANE 4711") -> NDArray[np.bool_]:
    """Draw text into the place for it: (rows, columns)."""
    picture = Image.new("1", (COLUMNS, ROWS))
    font = ImageFont.load_default(size=11)
    ImageDraw.Draw(picture).text((TEXT.left + 1, TEXT.top + 1), text, fill=1, font=font)
    drawn = np.asarray(picture).copy()
    inside = np.zeros_like(drawn)
    inside[TEXT.top : TEXT.bottom, TEXT.left : TEXT.right] = True
    inside &= drawn
    return inside


def values_of(kind: Kind, *, text: bool = True) -> NDArray[np.integer[Any]]:
    """Make all frames (frames, rows, columns, samples); with and without text they differ inside `TEXT` only."""
    rng = np.random.default_rng(7)
    top = 1 << (kind.stored or kind.bits)
    low, high = (-top // 4, top // 4) if kind.signed else (top // 8, top // 2)
    dtype = np.dtype(f"{'i' if kind.signed else 'u'}{kind.bits // 8}")
    values = rng.integers(low, high, (kind.frames, ROWS, COLUMNS, kind.samples)).astype(dtype)
    if text:
        bright = 0 if kind.photometric in ("MONOCHROME1", "PALETTE COLOR") else top - 1
        values[:, glyphs()] = top // 2 - 1 if kind.signed else bright
    return values


def image(kind: Kind, *, text: bool = True, options: Options = DEFAULT) -> FileDataset:
    """Make an ultrasound image of a kind."""
    source = ultrasound("burned", replace(options, transfer_syntax=str(ExplicitVRLittleEndian)))
    values = values_of(kind, text=text)
    stored = kind.stored or kind.bits
    form = Form(
        EXPLICIT if kind.syntax == DEFLATED else kind.syntax, ROWS, COLUMNS, kind.frames, kind.samples,
        kind.photometric, kind.planar, kind.bits, stored, stored - 1, kind.signed, "OB" if kind.bits == 8 else "OW",
    )  # fmt: skip
    value, written = coded(values, form)
    source.file_meta.TransferSyntaxUID = UID(DEFLATED if kind.syntax == DEFLATED else written.syntax)
    source.Rows, source.Columns, source.NumberOfFrames = ROWS, COLUMNS, kind.frames
    source.SamplesPerPixel, source.PhotometricInterpretation = kind.samples, kind.photometric
    source.BitsAllocated, source.BitsStored, source.HighBit = kind.bits, stored, stored - 1
    source.PixelRepresentation = int(kind.signed)
    if kind.samples > 1:
        source.PlanarConfiguration = kind.planar
    if kind.photometric == "PALETTE COLOR":
        _palette(source)
    source.PixelData = value[:-8] if kind.syntax in (RLE, JPEG_LS, JPEG_2000) else value
    source["PixelData"].VR = written.vr
    source["PixelData"].is_undefined_length = kind.syntax in (RLE, JPEG_LS, JPEG_2000)
    return source


def _palette(source: FileDataset) -> None:
    ramp = np.arange(256, dtype="<u2")[::-1] * 257
    for colour in ("Red", "Green", "Blue"):
        setattr(source, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 16])
        setattr(source, f"{colour}PaletteColorLookupTableData", ramp.tobytes())


def regions(source: FileDataset, *boxes: Box) -> FileDataset:
    """Declare ultrasound regions."""
    items = []
    for box in boxes:
        item = Dataset()
        item.RegionLocationMinX0, item.RegionLocationMinY0 = box.left, box.top
        item.RegionLocationMaxX1, item.RegionLocationMaxY1 = box.right - 1, box.bottom - 1
        items.append(item)
    source.SequenceOfUltrasoundRegions = Sequence(items)
    return source


def file_of(kind: Kind, *, text: bool = True) -> bytes:
    """Make the file of a kind."""
    return to_bytes(image(kind, text=text))


class Eye:
    """Sees the text as long as it is there."""

    def __init__(self, *boxes: Box) -> None:
        self.boxes = boxes or (TEXT,)

    def find(self, picture: Picture, *, close: bool) -> list[Box]:
        assert picture.shape == (ROWS, COLUMNS, 3)
        return [
            box
            for box in self.boxes
            if np.ptp(picture[box.top : box.bottom, box.left : box.right].astype(int))
        ]


class Here:
    """Does a worker's work in this process."""

    def __init__(self, eye: Eye) -> None:
        self.eye = eye

    def do(self, task: Task) -> Answer:
        done = clean(task, self.eye)
        return Answer(json.loads(json.dumps(done.told())), done.value)
