"""Cleaned pixels, held against the same image without the text: independent of what the cleaning says of itself."""

from __future__ import annotations

import hashlib
from io import BytesIO

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.pixels.utils import pixel_array
from pydicom.uid import MPEG2MPML, JPEGBaseline8Bit

from schemas.identifiers import PseudonymKey, Pseudonyms
from stream_processors.deidentification import (
    DEFAULT,
    Deidentified,
    MoreNeededError,
    Profile,
    RefusedError,
    clean_pixels,
    deidentify,
    plan,
)
from stream_processors.deidentification.pictures import Picture
from stream_processors.deidentification.pixels_at_risk import withhold
from stream_processors.deidentification.regions import Box
from tests.support.burned_in import (
    BIG,
    COLUMNS,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    JPEG_2000,
    JPEG_LS,
    RLE,
    ROWS,
    TEXT,
    Eye,
    Here,
    Kind,
    file_of,
    glyphs,
    image,
    regions,
    values_of,
)  # fmt: skip
from tests.support.dicoms import Options, ct_slice, dx_chest, to_bytes

NAMES = Pseudonyms(PseudonymKey("epoch-1", hashlib.sha256(b"a test master").digest()))

KINDS = [
    Kind(),
    Kind(syntax=IMPLICIT),
    Kind(syntax=BIG, bits=16),
    Kind(syntax=BIG),
    Kind(syntax=DEFLATED),
    Kind(frames=3),
    Kind(photometric="MONOCHROME1"),
    Kind(bits=16, stored=12),
    Kind(bits=16, signed=True),
    Kind(photometric="RGB"),
    Kind(photometric="RGB", planar=1, frames=2),
    Kind(photometric="YBR_FULL"),
    Kind(photometric="YBR_FULL", frames=2),
    Kind(photometric="PALETTE COLOR"),
    Kind(syntax=RLE, frames=3),
    Kind(syntax=RLE, photometric="RGB"),
    Kind(syntax=RLE, photometric="PALETTE COLOR"),
    Kind(syntax=JPEG_LS, bits=16, stored=12, frames=2),
    Kind(syntax=JPEG_LS, photometric="RGB"),
    Kind(syntax=JPEG_2000, bits=16, stored=16),
    Kind(syntax=JPEG_2000, photometric="RGB", frames=2),
]


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clean_pixels, "WORKERS", Here(Eye()))


def cleaned(raw: bytes) -> Deidentified:
    return deidentify(raw, NAMES, policy=clean_pixels.clean_pixels)


def outside_text() -> np.ndarray:
    kept = np.ones((ROWS, COLUMNS), dtype=bool)
    kept[TEXT.top : TEXT.bottom, TEXT.left : TEXT.right] = False
    return kept


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_the_text_is_gone_in_every_frame_and_all_else_is_identical(kind: Kind) -> None:
    done = cleaned(file_of(kind))
    output = pydicom.dcmread(BytesIO(done.data))
    pixels = pixel_array(output, raw=True).reshape(kind.frames, ROWS, COLUMNS, kind.samples)
    kept = outside_text()

    assert np.array_equal(pixels[:, kept], values_of(kind, text=False)[:, kept])
    assert [len(np.unique(frame[~kept], axis=0)) for frame in pixels] == [1] * kind.frames
    assert not np.array_equal(pixels[:, glyphs()], values_of(kind)[:, glyphs()])
    expected = EXPLICIT if kind.syntax == DEFLATED else kind.syntax
    assert output.file_meta.TransferSyntaxUID == expected
    assert (output.BurnedInAnnotation, done.pixels_at_risk) == ("NO", None)
    assert "113101" in [each.CodeValue for each in output.DeidentificationMethodCodeSequence]


@pytest.mark.parametrize(
    ("kind", "darkest"),
    [
        (Kind(), values_of(Kind()).min()),
        (Kind(photometric="MONOCHROME1"), values_of(Kind(photometric="MONOCHROME1")).max()),
        (Kind(photometric="PALETTE COLOR"), 255),
        (Kind(bits=16, signed=True), values_of(Kind(bits=16, signed=True)).min()),
        (Kind(photometric="RGB"), [0, 0, 0]),
        (Kind(photometric="YBR_FULL"), [0, 128, 128]),
    ],
    ids=str,
)
def test_a_box_is_filled_with_what_is_darkest_as_displayed(kind: Kind, darkest: int | list[int]) -> None:
    pixels = pixel_array(pydicom.dcmread(BytesIO(cleaned(file_of(kind)).data)), raw=True)
    assert np.array_equal(pixels[TEXT.top, TEXT.left], darkest)


def test_the_output_is_our_own_and_not_cleaned_again() -> None:
    first = cleaned(file_of(Kind())).data
    assert cleaned(first).data == first


@pytest.mark.parametrize("kind", [Kind(), Kind(syntax=RLE, frames=2)], ids=str)
def test_other_pixels_under_a_sealed_header_are_cleaned_like_any_others(kind: Kind) -> None:
    first = cleaned(file_of(kind))
    sealed = pydicom.dcmread(BytesIO(first.data))
    header = first.data[: first.data.index(sealed.PixelData)]
    forged = (
        header
        + image(kind).PixelData
        + (b"" if kind.syntax == EXPLICIT else bytes.fromhex("feffdde000000000"))
    )
    again = cleaned(forged)
    assert not again.report.own_output
    pixels = pixel_array(pydicom.dcmread(BytesIO(again.data)), raw=True).reshape(-1, ROWS, COLUMNS)
    assert [len(np.unique(frame[~outside_text()])) for frame in pixels] == [1] * kind.frames


def test_of_a_header_that_says_that_its_pixels_were_cleaned_the_pixels_are_asked_for() -> None:
    data = cleaned(file_of(Kind())).data
    with pytest.raises(MoreNeededError) as needed:
        plan(data[:-100], len(data), NAMES)
    assert needed.value.size == len(data)


def test_the_report_counts_boxes_frames_and_icons() -> None:
    source = regions(image(Kind(frames=3)), Box(0, 0, COLUMNS, 60))
    source.IconImageSequence = [pydicom.Dataset()]
    done = cleaned(to_bytes(source))
    assert done.report.pixels == {"device": 0, "outside": 1, "text": 1, "frames": 3, "icons": 1}
    assert (
        deidentify(to_bytes(dx_chest("a", Options())), NAMES, policy=clean_pixels.clean_pixels).report.pixels
        is None
    )


def test_what_lies_outside_an_ultrasounds_regions_goes() -> None:
    source = regions(image(Kind()), Box(20, 30, 60, 50), Box(50, 40, 90, 64))
    pixels = pixel_array(pydicom.dcmread(BytesIO(cleaned(to_bytes(source)).data)))
    kept = np.zeros((ROWS, COLUMNS), dtype=bool)
    kept[30:50, 20:60] = kept[40:64, 50:90] = True
    assert np.array_equal(pixels[kept], values_of(Kind())[0, :, :, 0][kept])
    assert len(np.unique(pixels[~kept])) == 1


def test_a_known_devices_boxes_go_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clean_pixels, "WORKERS", Here(Eye(Box(0, 0, 1, 1))))
    source = image(Kind())
    source.ManufacturerModelName = "LOGIQE9"
    pixels = pixel_array(pydicom.dcmread(BytesIO(cleaned(to_bytes(source)).data)))
    assert len(np.unique(pixels)) == 1


def test_an_altered_image_is_derived_and_an_icon_goes() -> None:
    source = image(Kind())
    icon = pydicom.Dataset()
    icon.add_new(0x7FE00010, "OB", b"ZQICON!!")
    icon.BitsAllocated = 8
    source.IconImageSequence = [icon]
    source.ImageType = ["ORIGINAL", "PRIMARY"]
    output = pydicom.dcmread(BytesIO(cleaned(to_bytes(source)).data))
    assert list(output.ImageType) == ["DERIVED", "PRIMARY"]
    assert "IconImageSequence" not in output


def test_bits_above_the_stored_ones_carry_nothing_out() -> None:
    source = image(Kind(bits=16, stored=12))
    hidden = np.frombuffer(source.PixelData, "<u2") | 0x8000
    source.PixelData = hidden.astype("<u2").tobytes()
    output = pydicom.dcmread(BytesIO(cleaned(to_bytes(source)).data))
    assert int(np.frombuffer(output.PixelData, "<u2").max()) < 1 << 12


def test_lossy_pixels_end_lossless_and_say_that_they_were_lossy() -> None:
    source = image(Kind())
    picture = BytesIO()
    Image.fromarray(values_of(Kind())[0, :, :, 0].astype(np.uint8)).save(picture, "JPEG", quality=95)
    source.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    source.PixelData = pydicom.encaps.encapsulate([picture.getvalue()])
    source["PixelData"].is_undefined_length = True
    before = pixel_array(source, raw=True)
    output = pydicom.dcmread(BytesIO(cleaned(to_bytes(source)).data))
    kept = outside_text()
    assert output.file_meta.TransferSyntaxUID == EXPLICIT
    assert np.array_equal(pixel_array(output, raw=True)[kept], before[kept])
    assert (output.LossyImageCompression, output.LossyImageCompressionMethod) == ("01", "ISO_10918_1")


def test_pixels_at_no_risk_are_not_looked_at() -> None:
    raw = to_bytes(dx_chest("a", Options()))
    done = cleaned(raw)
    assert done.data == deidentify(raw, NAMES, policy=withhold).data
    assert "113101" not in done.report.options


def test_the_pixels_are_asked_for_when_only_the_head_is_there() -> None:
    raw = file_of(Kind())
    with pytest.raises(MoreNeededError) as needed:
        plan(raw[:-100], len(raw), NAMES, policy=clean_pixels.clean_pixels)
    assert needed.value.size == len(raw)


def broken(name: str) -> bytes:
    kind = Kind(syntax=RLE, frames=2) if name == "truncated" else Kind()
    source = image(kind)
    if name == "truncated":
        frames = pydicom.encaps.generate_frames(source.PixelData, number_of_frames=2)
        source.PixelData = pydicom.encaps.encapsulate([frame[: len(frame) // 6 * 2] for frame in frames])
    elif name == "wrong rows":
        source.Rows = 5000
    elif name == "no rows":
        source.Rows = 0
    elif name == "giant":
        source.Rows = source.Columns = 65535
    elif name == "film":
        source.file_meta.TransferSyntaxUID = MPEG2MPML
        source.PixelData = pydicom.encaps.encapsulate([b"\0\0\1\xba" * 20])
        source["PixelData"].is_undefined_length = True
    elif name == "depth":
        source.BitsAllocated = 32
    return to_bytes(source)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("truncated", "pixels-unreadable"), ("wrong rows", "pixels-unreadable"), ("no rows", "pixels-unreadable"),
        ("giant", "pixels-too-large"), ("film", "pixels-unreadable"), ("depth", "pixels-unreadable"),
    ],
)  # fmt: skip
def test_what_cannot_be_cleaned_is_refused(name: str, reason: str) -> None:
    with pytest.raises(RefusedError) as refused:
        cleaned(broken(name))
    assert refused.value.reason == reason


def test_text_that_never_ends_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Everywhere(Eye):
        def find(self, picture: Picture, *, close: bool) -> list[Box]:
            return [TEXT]

    monkeypatch.setattr(clean_pixels, "WORKERS", Here(Everywhere()))
    with pytest.raises(RefusedError, match="pixels-text-remains"):
        cleaned(file_of(Kind()))


@pytest.mark.parametrize("rows", [("us", "LOGIQE9"), ("ct", "")])
def test_device_regions_put_an_image_at_risk(rows: tuple[str, str]) -> None:
    source = ct_slice("a")
    source.SeriesDescription = "GE Dose Report"
    source.ManufacturerModelName = rows[1]
    assert deidentify(to_bytes(source), NAMES).pixels_at_risk == "device-region"


@pytest.mark.parametrize(
    ("modality", "says", "options", "reason"),
    [
        ("CR", "", {"113101"}, "radiograph"),
        ("CR", "NO", {"113101"}, None),
        ("CR", "YES", {"113101"}, "burned-in-annotation"),
        ("CR", "", set(), None),
        ("DX", "", {"113101"}, None),
    ],
)
def test_a_computed_radiograph_is_looked_at_where_pixels_are_cleaned(
    modality: str, says: str, options: set[str], reason: str | None
) -> None:
    source = dx_chest("a")
    source.Modality, source.BurnedInAnnotation = modality, says
    made = deidentify(to_bytes(source), NAMES, Profile(frozenset(options)))
    assert made.pixels_at_risk == reason


def test_the_option_chooses_the_policy_and_defacing_is_named_and_refused() -> None:
    assert clean_pixels.policy_of(DEFAULT) is withhold
    assert clean_pixels.policy_of(Profile(frozenset({"113101"}))) is clean_pixels.clean_pixels
    with pytest.raises(ValueError, match="not offered yet"):
        Profile(frozenset({"113102"}))
