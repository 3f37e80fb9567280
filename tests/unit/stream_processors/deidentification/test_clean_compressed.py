"""Every compression that pixels come in: nothing outside the boxes changes by a single value, whatever it ends as."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID

from schemas.identifiers import PseudonymKey, Pseudonyms
from stream_processors.deidentification import Deidentified, RefusedError, clean_pixels, deidentify
from tests.support.burned_in import COLUMNS, EXPLICIT, ROWS, TEXT, Eye, Here, Kind, glyphs, image, values_of
from tests.support.dicoms import to_bytes

NAMES = Pseudonyms(PseudonymKey("epoch-1", hashlib.sha256(b"a test master").digest()))
Values = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Coding:
    """A compression, how frames are written in it, and what its pixels end as."""

    syntax: str
    encode: Callable[[Values], bytes | bytearray]
    kind: Kind
    photometric: str = "MONOCHROME2"
    lossy: str = ""
    fragments: int = 1


def part(values: Values) -> Values:
    return np.ascontiguousarray(values[:, :, 0] if values.shape[2] == 1 else values)


def jpeg_colour(values: Values) -> bytes:
    return bytes(
        imagecodecs.jpeg8_encode(values, level=90, colorspace="RGB", outcolorspace="YCBCR", subsampling="422")
    )


PREFIX = "1.2.840.10008.1.2.4."
GRAY12 = Kind(bits=16, stored=12, frames=2)
CODINGS = {
    "JPEG baseline": Coding("50", lambda v: imagecodecs.jpeg8_encode(part(v), level=90), Kind(frames=2), lossy="ISO_10918_1"),
    "JPEG baseline in many fragments": Coding(
        "50", lambda v: imagecodecs.jpeg8_encode(part(v), level=90), Kind(frames=2), lossy="ISO_10918_1", fragments=3
    ),
    "JPEG baseline, colour at half width": Coding(
        "50", jpeg_colour, Kind(photometric="RGB", frames=3), "YBR_FULL_422", lossy="ISO_10918_1"
    ),
    "JPEG lossless": Coding("57", lambda v: imagecodecs.ljpeg_encode(part(v), bitspersample=12), GRAY12),
    "JPEG lossless, first-order prediction": Coding("70", lambda v: imagecodecs.ljpeg_encode(part(v), bitspersample=12), GRAY12),
    "JPEG-LS, near lossless": Coding(
        "81", lambda v: imagecodecs.jpegls_encode(part(v), level=2), Kind(), lossy="ISO_14495_1"
    ),
    "JPEG 2000": Coding("91", lambda v: imagecodecs.jpeg2k_encode(part(v), level=40, codecformat="j2k"), Kind(frames=2)),
    "HTJ2K lossless": Coding("201", lambda v: imagecodecs.htj2k_encode(part(v)), GRAY12),
    "HTJ2K lossless, colour": Coding(
        "201", lambda v: imagecodecs.htj2k_encode(part(v), rgb=True), Kind(photometric="RGB"), "YBR_RCT"
    ),
}  # fmt: skip
SLOW_TO_REFUSE = "JPEG-LS, near lossless"
"""Its decoder takes seconds over a cut frame: `tests/processes` waits for it."""


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clean_pixels, "WORKERS", Here(Eye()))


def coded(coding: Coding) -> FileDataset:
    source = image(coding.kind)
    frames = [bytes(coding.encode(frame)) for frame in values_of(coding.kind)]
    source.file_meta.TransferSyntaxUID = UID(PREFIX + coding.syntax)
    source.PixelData = encapsulate(
        frames, fragments_per_frame=coding.fragments, has_bot=coding.fragments == 1
    )
    source["PixelData"].VR = "OB"
    source["PixelData"].is_undefined_length = True
    if coding.photometric != "MONOCHROME2":
        source.PhotometricInterpretation = coding.photometric
    return source


def cleaned(source: FileDataset) -> Deidentified:
    return deidentify(to_bytes(source), NAMES, policy=clean_pixels.clean_pixels)


@pytest.mark.parametrize("name", CODINGS)
def test_the_text_is_gone_and_all_else_is_what_the_source_decodes_to(name: str) -> None:
    coding = CODINGS[name]
    source = coded(coding)
    shape = (coding.kind.frames, ROWS, COLUMNS, coding.kind.samples)
    before = pixel_array(source, raw=True).reshape(shape)
    output = pydicom.dcmread(BytesIO(cleaned(source).data))
    after = pixel_array(output, raw=True).reshape(shape)
    kept = np.ones((ROWS, COLUMNS), dtype=bool)
    kept[TEXT.top : TEXT.bottom, TEXT.left : TEXT.right] = False

    assert np.array_equal(after[:, kept], before[:, kept])
    assert [len(np.unique(frame[~kept], axis=0)) for frame in after] == [1] * coding.kind.frames
    assert (before[:, glyphs()] != after[:, glyphs()]).any()
    assert output.file_meta.TransferSyntaxUID == EXPLICIT
    assert str(output.get("LossyImageCompressionMethod", "")) == coding.lossy
    assert str(output.get("LossyImageCompression", "00")) == ("01" if coding.lossy else "00")
    assert output.ImageType[0] == "DERIVED"


@pytest.mark.parametrize("name", [name for name in CODINGS if name != SLOW_TO_REFUSE])
def test_cut_fragments_are_refused_and_not_filled_in(name: str) -> None:
    refuses_cut_fragments(CODINGS[name])


def refuses_cut_fragments(coding: Coding) -> None:
    source = coded(coding)
    frames = [bytes(coding.encode(frame)) for frame in values_of(coding.kind)]
    source.PixelData = encapsulate([frame[: len(frame) // 4 * 2] for frame in frames])
    with pytest.raises(RefusedError) as refused:
        cleaned(source)
    assert refused.value.reason == "pixels-unreadable"


def test_what_no_decoder_here_reads_is_refused() -> None:
    twelve = Coding("51", lambda v: imagecodecs.jpeg8_encode(part(v), level=90, bitspersample=12), GRAY12)
    with pytest.raises(RefusedError, match="pixels-unreadable"):
        cleaned(coded(twelve))
