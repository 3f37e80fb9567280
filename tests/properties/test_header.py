"""The lean reader of headers against pydicom: it gives the same values and places, or leaves the file to it."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from inference.frames import open_by_library, open_image
from inference.geometry import patient_geometry
from inference.header import TAGS, Header, read_header
from inference.spec import NotAcceptableError
from inference.syntaxes import HTJ2K_LOSSLESS

MANY = settings(
    max_examples=20, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None
)
SYNTAXES = [
    str(each)
    for each in (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, HTJ2K_LOSSLESS)
]

numbers = st.sampled_from(["0", "1", "-1024", "0.4688", " 2.50", "-1.5e-3", "+7 ", "1E2", "-120.125"])
small = st.integers(0, 65535)
words = st.sampled_from(["CT", "HEAD", "LOW DOSE", "A_B1", "ORIGINAL", "MONOCHROME2", "X"])


def some(count: int) -> st.SearchStrategy[list[str]]:
    return st.lists(numbers, min_size=count, max_size=count)


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "ImageType": st.lists(words, min_size=1, max_size=4),
    "Modality": words, "BodyPartExamined": words, "ViewPosition": words, "PhotometricInterpretation": words,
    "RescaleType": words, "FrameOfReferenceUID": st.just("1.2.826.0.1.3680043.9.7777.5"),
    "SliceThickness": numbers, "SpacingBetweenSlices": numbers, "RescaleSlope": numbers, "RescaleIntercept": numbers,
    "ImagerPixelSpacing": some(2), "PixelSpacing": some(2), "ImagePositionPatient": some(3),
    "ImageOrientationPatient": some(6), "NumberOfFrames": st.integers(0, 9999).map(str),
    "SamplesPerPixel": small, "PlanarConfiguration": small, "Rows": small, "Columns": small, "BitsAllocated": small,
    "BitsStored": small, "PixelRepresentation": st.integers(0, 1),
}  # fmt: skip
OTHERS: dict[str, st.SearchStrategy[Any]] = {
    "PatientName": st.just("Probe^Synthetic"), "SpecificCharacterSet": st.just("ISO_IR 192"), "WindowCenter": numbers,
    "PatientComments": st.text("ab\n ", max_size=40), "LossyImageCompressionRatio": numbers,
    "PixelAspectRatio": st.just(["1", "1"]),
}  # fmt: skip
MACROS = {
    "PlanePositionSequence": ("ImagePositionPatient",), "PlaneOrientationSequence": ("ImageOrientationPatient",),
    "PixelMeasuresSequence": ("PixelSpacing", "SliceThickness"),
    "PixelValueTransformationSequence": ("RescaleSlope", "RescaleIntercept"),
}  # fmt: skip
NESTS = ("ReferencedImageSequence", "RequestAttributesSequence", "ContentSequence")


@st.composite
def attributes(draw: st.DrawFn, depth: int) -> Dataset:
    made = Dataset()
    for keyword in draw(st.sets(st.sampled_from(sorted(VALUES)))):
        setattr(made, keyword, draw(VALUES[keyword]))
    for keyword in draw(st.sets(st.sampled_from(sorted(VALUES)), max_size=3)):
        setattr(made, keyword, None)
    for keyword in draw(st.lists(st.sampled_from(sorted(OTHERS)), unique=True, max_size=4)):
        setattr(made, keyword, draw(OTHERS[keyword]))
    if made.get("PixelRepresentation") is not None and draw(st.booleans()):
        vr = "SS" if made.PixelRepresentation == 1 else "US"
        made.add_new(0x00280120, vr, draw(st.integers(-100, 100) if vr == "SS" else small))
    for keyword in draw(st.lists(st.sampled_from(NESTS), unique=True, max_size=2)) if depth else ():
        nested(made, keyword, draw(st.lists(attributes(depth - 1), max_size=2)), draw)
    if draw(st.booleans()):
        block = made.private_block(0x0029, "ZQ PRIVATE", create=True)
        block.add_new(0x10, "OB", draw(st.binary(max_size=40)))
        block.add_new(0x11, "SQ", Sequence([Dataset()]))
    return made


def nested(made: Dataset, keyword: str, items: list[Dataset], draw: st.DrawFn) -> None:
    setattr(made, keyword, Sequence(items))
    made[keyword].is_undefined_length = draw(st.booleans())
    for each in items:
        each.is_undefined_length_sequence_item = draw(st.booleans())


@st.composite
def groups(draw: st.DrawFn) -> Dataset:
    made = Dataset()
    for macro, keywords in MACROS.items():
        if draw(st.booleans()):
            item = Dataset()
            for keyword in keywords:
                setattr(item, keyword, draw(VALUES[keyword]))
            nested(made, macro, [item], draw)
    return made


@st.composite
def files(draw: st.DrawFn) -> bytes:
    made = draw(attributes(2))
    if draw(st.booleans()):
        nested(made, "SharedFunctionalGroupsSequence", [draw(groups())], draw)
        frames = draw(st.lists(groups(), max_size=3))
        nested(made, "PerFrameFunctionalGroupsSequence", frames, draw)
    return written(made, draw(st.sampled_from(SYNTAXES)))


def written(made: Dataset, syntax: str) -> bytes:
    made.preamble = bytes(128)
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = UID(syntax)
    made.file_meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.7")
    made.file_meta.MediaStorageSOPInstanceUID = UID("1.2.826.0.1.3680043.9.7777.1")
    encapsulated = syntax == HTJ2K_LOSSLESS
    made.PixelData = pydicom.encaps.encapsulate([b"\xff\x4f" + bytes(30)]) if encapsulated else bytes(64)
    made["PixelData"].VR = "OB" if encapsulated else "OW"
    made["PixelData"].is_undefined_length = encapsulated
    out = BytesIO()
    made.save_as(
        out, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=syntax != ExplicitVRBigEndian
    )
    return out.getvalue()


def plain(value: Any) -> Any:
    """A value of either reader, with nothing for an empty one."""
    if value is None or value == "":
        return None
    if isinstance(value, Dataset | Header):
        return {keyword: found for keyword in TAGS if (found := plain(value.get(keyword))) not in (None, [])}
    if isinstance(value, str | int | float | bytes):
        return value
    return [plain(each) for each in value]


@MANY
@given(files())
def test_it_reads_what_the_library_reads(data):
    image, whole = open_by_library(data)

    lean = read_header(data)

    assert lean is not None
    header, syntax, place = lean
    assert plain(header) == plain(whole)
    assert (syntax, place.start, place.length) == (image.syntax, image.start, image.length)


def test_a_first_length_with_a_letter_in_it_is_no_vr():
    made = Dataset()
    made.ReferencedImageSequence = Sequence([Dataset()])
    made.ReferencedImageSequence[0].ReferencedSOPInstanceUID = "2.25." + "1" * 45

    data = written(made, str(ImplicitVRLittleEndian))

    assert b"\x08\x00\x40\x11B\x00\x00\x00" in data
    assert read_header(data) is not None


@MANY
@given(files(), st.integers(0, 2))
def test_geometry_is_the_same(data, frame):
    found, expected = (outcome(lambda h=h: patient_geometry(h, frame)) for h in headers(data))

    assert str(found) == str(expected)


def headers(data: bytes) -> tuple[Any, Any]:
    return open_image(data).header, open_by_library(data)[1]


def outcome(call: Any) -> Any:
    try:
        return call()
    except ValueError as error:
        return type(error)


@MANY
@pytest.mark.filterwarnings("ignore")
@given(files(), st.binary(min_size=1, max_size=12), st.data())
def test_damage_is_read_as_the_library_reads_it_or_left_to_it(data, noise, draw):
    at = draw.draw(st.integers(132, len(data) - 1))
    damaged = data[:at] + noise + data[at + len(noise) :]
    lean = read_header(damaged)
    if lean is None:
        return

    try:
        image, whole = open_by_library(damaged)
        expected = plain(whole), image.syntax, image.start, image.length
    except (NotAcceptableError, ValueError, TypeError):
        expected = None

    header, syntax, place = lean
    assert expected is None or (plain(header), syntax, place.start, place.length) == expected


@pytest.mark.parametrize(
    "change",
    [
        {"RescaleSlope": "1e"},
        {"Modality": "c\u00f6"},
        {"ImageType": ["ORIGINAL", ""]},
        {"PixelSpacing": ["1", ""]},
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_unusual_values_are_left_to_the_library(change):
    made = Dataset()
    made.Rows = made.Columns = 4
    data = written(made, str(ExplicitVRLittleEndian))
    assert read_header(data) is not None
    for keyword, value in change.items():
        made.SpecificCharacterSet = "ISO_IR 100"
        with pydicom.config.disable_value_validation():
            made.add(
                pydicom.DataElement(
                    TAGS[keyword][0], "LO" if keyword == "RescaleSlope" else TAGS[keyword][1], value
                )
            )

    assert read_header(written(made, str(ExplicitVRLittleEndian))) is None


def test_a_damaged_transfer_syntax_is_left_to_the_library():
    data = written(Dataset(), HTJ2K_LOSSLESS)
    assert read_header(data) is not None

    assert read_header(data.replace(b"1.2.840.10008.1.2.4.", b"1.2.840.10008.1.2.4\x80")) is None


def test_an_attribute_that_is_not_in_the_table_is_no_missing_one():
    with pytest.raises(KeyError):
        Header({}).get("PatientName")
