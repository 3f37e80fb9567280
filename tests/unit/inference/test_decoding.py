from __future__ import annotations

from io import BytesIO

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.pixels.processing import convert_color_space
from pydicom.uid import UID

from cli.demo_studies import public_file
from inference import decoding
from inference.codestreams import declared_form
from inference.decoding import decode_frame, decode_reduced
from inference.frames import open_image
from inference.spec import NotAcceptableError
from inference.syntaxes import (
    HTJ2K,
    HTJ2K_LOSSLESS,
    JPEG_2000_LOSSLESS,
    JPEG_BASELINE,
    JPEG_EXTENDED,
    JPEG_LOSSLESS_FIRST,
    JPEG_LS,
    RLE,
)
from inference.transcoding import to_htj2k
from stream_processors.deidentification.frames import decoded, form_of
from tests.support.xray import xray

ROWS, COLUMNS = 96, 64
RNG = np.random.default_rng(4)
SMOOTH = np.add.outer(np.arange(ROWS) * 9, np.arange(COLUMNS) * 13)
STORED = (SMOOTH + RNG.integers(0, 50, (ROWS, COLUMNS))).astype(np.uint16)
SIGNED = (STORED.astype(np.int32) - 900).astype(np.int16)
COLOUR = np.stack([STORED % 251, STORED // 9, 255 - STORED // 9], axis=-1).astype(np.uint8)


def file(values, syntax=None, fragments=None, **changes):
    """A DICOM file of these values; `fragments` are its frames' codestreams."""
    frames = 1 if values.ndim == 2 or values.shape[-1] == 3 else len(values)
    shape = values.shape if frames == 1 else values.shape[1:]
    bits = 8 * values.dtype.itemsize
    stored = 12 if bits == 16 else 8
    dataset = pydicom.dcmread(
        BytesIO(
            xray(
                Rows=shape[0], Columns=shape[1], BitsAllocated=bits, BitsStored=stored, HighBit=stored - 1,
                PixelRepresentation=int(values.dtype.kind == "i"), NumberOfFrames=str(frames),
                SamplesPerPixel=3 if len(shape) == 3 else 1, PixelData=values.tobytes(),
            )
        )
    )  # fmt: skip
    if len(shape) == 3:
        dataset.PhotometricInterpretation, dataset.PlanarConfiguration = "RGB", 0
    for name, value in changes.items():
        setattr(dataset, name, value)
    if fragments is not None:
        dataset.PixelData = encapsulate(fragments)
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
    if syntax:
        dataset.file_meta.TransferSyntaxUID = UID(syntax)
    out = BytesIO()
    dataset.save_as(out, implicit_vr=False, little_endian=True)
    return out.getvalue()


def rle(values):
    source = pydicom.dcmread(BytesIO(file(values)))
    source.compress(pydicom.uid.RLELossless)
    out = BytesIO()
    source.save_as(out)
    return out.getvalue()


def j2k(values, **more):
    return bytes(
        imagecodecs.jpeg2k_encode(values, level=0, codecformat="j2k", reversible=True, resolutions=5, **more)
    )


CODED = {
    "native": file,
    "RLE": rle,
    "JPEG 2000": lambda values: file(values, JPEG_2000_LOSSLESS, [j2k(values)]),
    "HTJ2K": lambda values: file(
        values, HTJ2K_LOSSLESS, [bytes(imagecodecs.htj2k_encode(values, rgb=values.ndim == 3))]
    ),
    "JPEG-LS": lambda values: file(
        values,
        JPEG_LS,
        [bytes(imagecodecs.jpegls_encode(values.view("u2") & 0xFFF if values.dtype.kind == "i" else values))],
    ),
}


@pytest.mark.parametrize("values", [STORED, SIGNED, COLOUR], ids=["unsigned", "signed", "colour"])
@pytest.mark.parametrize("form", sorted(CODED))
def test_every_lossless_form_gives_the_stored_values(form, values):
    found = decode_frame(open_image(CODED[form](values)))

    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize("values", [STORED, SIGNED, COLOUR], ids=["unsigned", "signed", "colour"])
@pytest.mark.parametrize("form", sorted(CODED))
def test_de_identification_which_has_another_reader_reads_the_same_values(form, values):
    data = CODED[form](values)
    dataset = pydicom.dcmread(BytesIO(data))
    layout = form_of(dataset, dataset.file_meta.TransferSyntaxUID)

    found, _ = decoded(dataset.PixelData, layout)

    np.testing.assert_array_equal(found.reshape(values.shape), decode_frame(open_image(data)))


def test_lossless_jpeg_gives_the_stored_values():
    coded = bytes(imagecodecs.ljpeg_encode(STORED, bitspersample=12))

    found = decode_frame(open_image(file(STORED, JPEG_LOSSLESS_FIRST, [coded])))

    np.testing.assert_array_equal(found, STORED)


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL_422"])
def test_baseline_jpeg_comes_as_red_green_and_blue(photometric):
    space = {"RGB": "RGB", "YBR_FULL_422": "YCBCR"}[photometric]
    coded = bytes(imagecodecs.jpeg8_encode(COLOUR, level=98, colorspace="RGB", outcolorspace=space))
    data = file(COLOUR, JPEG_BASELINE, [coded], PhotometricInterpretation=photometric)

    found = decode_frame(open_image(data))

    assert np.abs(found.astype(int) - COLOUR).mean() < 12


def test_big_endian_values_are_turned():
    little, big = (public_file(name) for name in ("MR_small.dcm", "MR_small_bigendian.dcm"))

    np.testing.assert_array_equal(decode_frame(open_image(big)), decode_frame(open_image(little)))


def test_a_deflated_file_is_read():
    dataset = pydicom.dcmread(BytesIO(file(STORED)))
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    out = BytesIO()
    dataset.save_as(out)

    np.testing.assert_array_equal(decode_frame(open_image(out.getvalue())), STORED)


@pytest.mark.parametrize("table", [True, False])
@pytest.mark.parametrize("pieces", [1, 2])
def test_each_frame_is_found_with_or_without_a_table(table, pieces):
    values = np.stack([STORED, STORED[::-1], STORED[:, ::-1]])
    coded = [bytes(imagecodecs.htj2k_encode(frame)) for frame in values]
    dataset = pydicom.dcmread(BytesIO(file(values, HTJ2K_LOSSLESS, coded)))
    dataset.PixelData = encapsulate(coded, fragments_per_frame=pieces, has_bot=table)
    out = BytesIO()
    dataset.save_as(out)

    image = open_image(out.getvalue())

    for index, frame in enumerate(values):
        np.testing.assert_array_equal(decode_frame(image, index), frame)


def test_a_frame_in_a_store_is_read_by_its_bytes_alone():
    values = np.stack([STORED] * 4 + [STORED[::-1]])
    data = file(values)
    asked = []

    def fetch(start, length):
        asked.append(length)
        return data[start : start + length]

    image = open_image(data[: len(data) - values.nbytes], fetch)

    np.testing.assert_array_equal(decode_frame(image, 4), STORED[::-1])
    assert asked == [STORED.nbytes]


@pytest.mark.parametrize(
    ("syntax", "encode"),
    [
        (JPEG_2000_LOSSLESS, lambda values: j2k(values, bitspersample=12)),
        (JPEG_2000_LOSSLESS, lambda values: j2k(values, bitspersample=16)),
        (HTJ2K_LOSSLESS, lambda values: bytes(imagecodecs.htj2k_encode(values))),
    ],
    ids=["12 bits", "16 bits", "HTJ2K"],
)
@pytest.mark.parametrize("levels", [1, 2])
def test_a_reduced_picture_lies_where_an_average_would(levels, syntax, encode):
    coarse = RNG.normal(0, 1, (12, 8))
    smooth = np.kron(coarse, np.ones((32, 32)))
    for axis in (0, 1):
        smooth = np.apply_along_axis(lambda line: np.convolve(line, np.ones(65) / 65, "same"), axis, smooth)
    values = ((smooth - smooth.min()) / np.ptp(smooth) * 4000).astype(np.uint16)
    data = file(values, syntax, [encode(values)])
    step = 2**levels
    means = values.reshape(384 // step, step, 256 // step, step).mean(axis=(1, 3))

    found = decode_reduced(open_image(data), 0, levels)

    assert np.abs(found - means)[4:-4, 4:-4].mean() < 0.001 * values.max()


@pytest.mark.parametrize(
    "data",
    [
        file(STORED),
        file(SIGNED, JPEG_2000_LOSSLESS, [j2k(SIGNED)]),
        file(SIGNED, HTJ2K_LOSSLESS, [bytes(imagecodecs.htj2k_encode(SIGNED))]),
        file(STORED, HTJ2K_LOSSLESS, [bytes(imagecodecs.htj2k_encode(STORED))], BitsStored=16, HighBit=15),
        file(STORED, JPEG_2000_LOSSLESS, [bytes(imagecodecs.jpeg2k_encode(STORED, level=0, codecformat="j2k", resolutions=1))]),
    ],
    ids=["native", "signed", "signed HTJ2K", "HTJ2K of 16 bits", "too few levels"],
)  # fmt: skip
def test_what_has_no_lower_resolution_is_not_reduced(data):
    assert decode_reduced(open_image(data), 0, 1) is None


def test_a_codestream_of_another_size_is_refused_before_it_is_decoded():
    larger = bytes(imagecodecs.htj2k_encode(np.zeros((4096, 4096), np.uint16)))

    assert declared_form(larger) == (4096, 4096, 1)
    with pytest.raises(NotAcceptableError, match="unreadable"):
        decode_frame(open_image(file(STORED, HTJ2K_LOSSLESS, [larger])))


def with_number(coded, at, number):
    """The same codestream with one number of four bytes in its SIZ marker changed."""
    return coded[:at] + number.to_bytes(4) + coded[at + 4 :]


@pytest.mark.parametrize("syntax", [HTJ2K_LOSSLESS, JPEG_2000_LOSSLESS])
@pytest.mark.parametrize(
    ("at", "number"),
    [(24, 0), (28, 0), (32, 1), (36, 1), (36, 2**32 - 1), (24, 1)],
    ids=["no width", "no height", "begins right of", "begins below", "begins far below", "too many"],
)
def test_a_codestream_whose_tiles_do_not_cover_its_image_reaches_no_decoder(monkeypatch, syntax, at, number):
    # The decoder of HTJ2K ends the process on the first two, and never ends on those that begin below.
    values = np.zeros((300, 300), np.uint16)
    coded = j2k(values) if syntax == JPEG_2000_LOSSLESS else bytes(imagecodecs.htj2k_encode(values))
    odd = (
        with_number(with_number(coded, at, number), 28, 1)
        if number == 1 and at == 24
        else with_number(coded, at, number)
    )
    monkeypatch.setattr(decoding, "imagecodecs", None)

    with pytest.raises(NotAcceptableError, match="unreadable"):
        declared_form(odd)
    with pytest.raises(NotAcceptableError, match="unreadable"):
        decode_frame(open_image(file(values, syntax, [odd])))
    with pytest.raises(NotAcceptableError, match="unreadable"):
        decode_reduced(open_image(file(values, syntax, [odd])), 0, 1)


@pytest.mark.parametrize(
    "changed", [b"\xff\x5c\x00\x03", b"\xff\x5c\x00\x00", b"\x00\x5c"], ids=["none", "no length", "no marker"]
)
def test_a_codestream_of_htj2k_without_a_step_of_quantisation_reaches_no_decoder(monkeypatch, changed):
    coded = bytes(imagecodecs.htj2k_encode(STORED))
    at = coded.index(b"\xff\x5c")
    odd = coded[:at] + changed + coded[at + len(changed) :]
    monkeypatch.setattr(decoding, "imagecodecs", None)

    with pytest.raises(NotAcceptableError, match="unreadable"):
        decode_frame(open_image(file(STORED, HTJ2K_LOSSLESS, [odd])))


def with_components(coded, count):
    """The same JPEG 2000 codestream that says it has more components (SIZ marker)."""
    length = int.from_bytes(coded[4:6])
    made = bytearray(coded[:40] + count.to_bytes(2) + coded[42:45] * count + coded[4 + length :])
    made[4:6] = (38 + 3 * count).to_bytes(2)
    return bytes(made)


def in_a_jp2_file(values):
    return bytes(
        imagecodecs.jpeg2k_encode(values, level=0, codecformat="jp2", reversible=True, resolutions=5)
    )


@pytest.mark.parametrize(
    ("syntax", "coded"),
    [
        (JPEG_2000_LOSSLESS, with_components(j2k(STORED), 16_000)),
        (JPEG_2000_LOSSLESS, in_a_jp2_file(np.zeros((4096, 4096), np.uint16))),
    ],
    ids=["components", "a file round it"],
)
def test_what_would_take_more_memory_than_the_header_says_is_not_decoded(monkeypatch, syntax, coded):
    monkeypatch.setitem(decoding.DECODERS, syntax, lambda *_: pytest.fail("decoded"))

    with pytest.raises(NotAcceptableError, match="unreadable"):
        decode_frame(open_image(file(STORED, syntax, [coded])))


def test_a_codestream_in_a_jpeg_2000_file_is_read_and_reduced_as_without_it():
    plain, boxed = (
        open_image(file(STORED, JPEG_2000_LOSSLESS, [coded]))
        for coded in (j2k(STORED), in_a_jp2_file(STORED))
    )

    np.testing.assert_array_equal(decode_frame(boxed), STORED)
    np.testing.assert_array_equal(decode_reduced(boxed, 0, 1), decode_reduced(plain, 0, 1))


@pytest.mark.parametrize(
    ("syntax", "coded"),
    [
        (HTJ2K_LOSSLESS, bytes(imagecodecs.htj2k_encode(STORED))),
        (JPEG_LS, bytes(imagecodecs.jpegls_encode(STORED))),
        (JPEG_LOSSLESS_FIRST, bytes(imagecodecs.ljpeg_encode(STORED, bitspersample=12))),
        (JPEG_EXTENDED, bytes(imagecodecs.jpeg8_encode(STORED, bitspersample=12))),
    ],
    ids=["HTJ2K", "JPEG-LS", "lossless JPEG", "JPEG of 12 bits"],
)
@pytest.mark.parametrize("missing", [3, 40, 2000])
def test_a_codestream_without_its_end_is_refused_though_its_decoder_would_fill_it_up(syntax, coded, missing):
    with pytest.raises(NotAcceptableError, match="truncated"):
        decode_frame(open_image(file(STORED, syntax, [coded[:-missing]])))


@pytest.mark.parametrize("syntax", [HTJ2K, HTJ2K_LOSSLESS])
def test_what_lossy_htj2k_overshoots_does_not_wrap_around(syntax):
    edges = np.zeros((96, 64, 3), np.uint8)
    edges[:, ::7], edges[::5] = 255, 255
    coded = bytes(imagecodecs.htj2k_encode(edges, level=0.05, reversible=False, rgb=True))

    found = decode_frame(open_image(file(edges, syntax, [coded])))

    assert np.abs(found.astype(int) - edges).max() < 100


def test_bits_above_those_stored_are_no_values():
    np.testing.assert_array_equal(decode_frame(open_image(file(STORED | 0xF000))), STORED & 0xFFF)


def test_bits_above_those_stored_are_no_sign():
    found = decode_frame(open_image(file((SIGNED.view("u2") & 0xFFF).view("i2"))))

    np.testing.assert_array_equal(found, SIGNED)


def test_signed_values_of_eight_bits_are_read_from_a_codestream_that_knows_no_sign():
    values = (STORED // 9).astype(np.uint8).view(np.int8)
    coded = bytes(imagecodecs.jpegls_encode(values.view("u1")))

    np.testing.assert_array_equal(decode_frame(open_image(file(values, JPEG_LS, [coded]))), values)


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
@pytest.mark.parametrize("stored_as", ["RGB", "YCBCR"])
def test_a_jpeg_is_believed_about_its_colours_before_the_header(photometric, stored_as):
    coded = bytes(
        imagecodecs.jpeg8_encode(
            COLOUR, level=98, colorspace="RGB", outcolorspace=stored_as, subsampling="444"
        )
    )

    found = decode_frame(
        open_image(file(COLOUR, JPEG_BASELINE, [coded], PhotometricInterpretation=photometric))
    )

    assert np.abs(found.astype(int) - COLOUR).mean() < 4


def test_colour_differences_in_jpeg_2000_are_undone_where_its_decoder_does_not():
    differences = convert_color_space(COLOUR, "RGB", "YBR_FULL")
    data = file(
        COLOUR, JPEG_2000_LOSSLESS, [j2k(differences, mct=False)], PhotometricInterpretation="YBR_FULL"
    )

    assert np.abs(decode_frame(open_image(data)).astype(int) - COLOUR).max() <= 2


@pytest.mark.parametrize("values", [STORED, SIGNED, COLOUR], ids=["unsigned", "signed", "colour"])
def test_transcoding_loses_nothing(values):
    made = to_htj2k(file(values))

    assert made is not None
    image = open_image(made)
    assert image.syntax == HTJ2K_LOSSLESS
    assert len(made) < len(file(values))
    np.testing.assert_array_equal(decode_frame(image), values)


def test_transcoded_frames_are_found_by_the_extended_table():
    values = np.stack([STORED, STORED[::-1]])

    image = open_image(to_htj2k(file(values)) or b"")

    assert image.header.get("ExtendedOffsetTable")
    np.testing.assert_array_equal(decode_frame(image, 1), STORED[::-1])


@pytest.mark.parametrize(
    "data",
    [
        file(STORED | 0x8000),
        file(STORED, HTJ2K_LOSSLESS, [bytes(imagecodecs.htj2k_encode(STORED))]),
        file(COLOUR, PhotometricInterpretation="YBR_FULL"),
        public_file("MR_small_bigendian.dcm"),
    ],
    ids=["overlays in the high bits", "already", "colour differences", "the greater byte first"],
)
def test_what_would_lose_something_stays_as_it_is(data):
    assert to_htj2k(data) is None


def test_every_decoder_of_a_syntax_is_named_once():
    assert RLE in decoding.DECODERS
    assert set(decoding.DECODERS) > decoding.REDUCIBLE
