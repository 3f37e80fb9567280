from __future__ import annotations

import io
from importlib import resources

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.encaps import encapsulate

from stream_processors.deidentification import RefusedError, codestreams
from stream_processors.deidentification.codestreams import without_text

SECRET = b"ZQFAMILY"


def segment(marker: int, payload: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(payload) + 2).to_bytes(2, "big") + payload


def picture(kind: str, **options: object) -> bytes:
    written = io.BytesIO()
    pixels = np.random.default_rng(1).integers(0, 255, (32, 32), np.uint8)
    Image.fromarray(pixels).save(written, kind, **options)
    return written.getvalue()


def decoded(pixel_data: bytes) -> bytes:
    return Image.open(io.BytesIO(pixel_data)).tobytes()


PLAIN = picture("JPEG")
JPEGS = {
    "a comment": picture("JPEG", comment=SECRET),
    "application data": PLAIN[:2] + segment(0xE1, b"Exif\0\0" + SECRET) + PLAIN[2:],
    "behind JFIF's own bytes": PLAIN[:2] + segment(0xE0, PLAIN[6:20] + SECRET) + PLAIN[20:],
    "data of another under JFIF's marker": PLAIN[:2] + segment(0xE0, SECRET) + PLAIN[2:],
    "behind the end": PLAIN + SECRET,
    "between the scans": picture("JPEG", progressive=True).replace(
        b"\xff\xda", segment(0xFE, SECRET) + b"\xff\xda"
    ),
}


@pytest.mark.parametrize("place", JPEGS)
def test_text_in_a_jpeg_is_blanked_and_the_picture_stays(place):
    data = encapsulate([JPEGS[place], JPEGS[place]])

    blanked = without_text(data)

    assert SECRET in data
    assert SECRET not in blanked
    assert len(blanked) == len(data)
    start = data.index(JPEGS[place][:2])
    assert decoded(blanked[start:]) == decoded(data[start:])


def test_a_jpeg_without_text_is_not_touched():
    data = encapsulate([PLAIN])

    assert without_text(data) == data


def test_comments_of_a_jpeg_2000_image_are_blanked_and_the_picture_stays():
    plain = picture("JPEG2000", no_jp2=True)
    tile = plain.index(b"\xff\x90")
    length = int.from_bytes(plain[tile + 6 : tile + 10], "big")
    comment = segment(0x64, b"\0\1" + SECRET)
    at = tile + 12
    commented = (
        plain[:tile] + comment + plain[tile : tile + 6] + (length + len(comment)).to_bytes(4, "big")
        + plain[tile + 10 : at] + comment + plain[at:]
    )  # fmt: skip

    blanked = without_text(encapsulate([commented]))

    assert commented.count(SECRET) == 2
    assert SECRET not in blanked
    start = blanked.index(b"\xff\x4f")
    assert decoded(blanked[start:]) == decoded(plain)


def commented(comment: bytes) -> bytes:
    plain = picture("JPEG2000", no_jp2=True)
    tile = plain.index(b"\xff\x90")
    return encapsulate([plain[:tile] + segment(0x64, b"\0\1" + comment) + plain[tile:]])


ENCODERS = [
    b"Kakadu-2.2",
    b"Kakadu-v5.2.1",
    b"Created by OpenJPEG version 2.5.0",
    b"Created by GDCM/OpenJPEG version 2.4.0",
    b"Created by: JJ2000 version 4.1",
    b"OpenJPH Ver 0.7.3.",
    b"Creator: JasPer Version 1.701.0",
    b"Lavc58.134.100",
    b"LEAD Technologies Inc. V1.01\0",
]


@pytest.mark.parametrize("encoder", ENCODERS)
def test_what_an_encoder_says_of_itself_stays(encoder):
    """Pixels in which nothing was due are the same, bit by bit, and so is their digest."""
    data = commented(encoder)
    jpeg = encapsulate([picture("JPEG", comment=encoder)])

    assert without_text(data) == data
    assert without_text(jpeg) == jpeg


@pytest.mark.parametrize(
    "comment",
    [
        SECRET + b" Kakadu-2.2",
        b"Kakadu-2.2 " + SECRET,
        b"Kakadu-20230405",
        b"Created by OpenJPEG for " + SECRET,
        b"Kakadu-2.2.3.4.5.6",
        b"Created by 2.2",
    ],
)
def test_what_else_stands_beside_an_encoders_name_goes(comment):
    assert comment not in without_text(commented(comment))


@pytest.mark.parametrize(
    "name", ["MR_small_jpeg_ls_lossless.dcm", "693_J2KI.dcm", "JPEG-lossy.dcm", "MR_small_RLE.dcm"]
)
def test_real_files_decode_to_the_same_pixels(name):
    file = resources.files("pydicom").joinpath("data", "test_files", name)
    before = pydicom.dcmread(io.BytesIO(file.read_bytes()))
    after = pydicom.dcmread(io.BytesIO(file.read_bytes()))

    after[0x7FE00010].value = without_text(before[0x7FE00010].value)

    if name not in {
        "JPEG-lossy.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
    }:  # no decoder of this project reads these
        assert (after.pixel_array == before.pixel_array).all()
    assert len(after.PixelData) == len(before.PixelData)


@pytest.mark.parametrize(
    "data", [b"", encapsulate([b"\xff\xd8\xff"]), encapsulate([b"\xff\x4f\xff\x64\xff"])]
)
def test_an_image_that_is_cut_off_is_left_alone(data):
    assert without_text(data) == data


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\xfe\xff", "malformed"),
        (encapsulate([PLAIN])[:-1], "truncated"),
        (encapsulate([PLAIN]) + b"XXXXXXXX", "malformed"),
    ],
)
def test_fragments_that_do_not_end_are_refused(data, reason):
    with pytest.raises(RefusedError, match=reason):
        without_text(data)


def test_nothing_behind_the_fragments_comes_along():
    value = encapsulate([PLAIN]) + codestreams.DELIMITER
    read = memoryview(value + SECRET)

    followed = codestreams.fragments_without_text(lambda at, n: read[at : at + n], 0, len(read))

    assert b"".join(followed) == value


def test_fragments_without_end_are_given_up(monkeypatch):
    monkeypatch.setattr(codestreams, "MAX_FRAGMENTS", 3)
    with pytest.raises(RefusedError, match="too-large"):
        without_text(encapsulate([b"ab"] * 5))


def test_an_image_too_large_to_be_read_whole_is_refused_and_a_film_is_handed_on_in_parts(monkeypatch):
    monkeypatch.setattr(codestreams, "MAX_IMAGE_BYTES", 100)
    monkeypatch.setattr(codestreams, "PART_BYTES", 10)
    film = encapsulate([bytes(1000)])
    assert without_text(film) == film
    with pytest.raises(RefusedError, match="too-large"):
        without_text(encapsulate([PLAIN]))
