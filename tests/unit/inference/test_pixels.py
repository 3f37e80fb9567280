from __future__ import annotations

from datetime import UTC, datetime
from io import BytesIO

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from inference import pixels
from inference.models.cxr_demo import SPEC
from inference.spec import NotAcceptableError
from inference.training.phantoms import SyntheticIdentity, generate, to_dicom

WHO = SyntheticIdentity("Probe^Synthetic", "P1", "A1", "19700101", "F", datetime(2026, 1, 2, tzinfo=UTC))
PHANTOM = generate(11, rows=256, columns=224, findings=frozenset())
FILE = to_dicom(PHANTOM, WHO)


VRS = {"PixelPaddingValue": "US", "PixelData": "OW"}
"""What the library does not decide by itself."""


def changed(**elements):
    dataset = pydicom.dcmread(BytesIO(FILE))
    for name, value in elements.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
            if name in VRS:
                dataset[name].VR = VRS[name]
    out = BytesIO()
    dataset.save_as(out)
    return out.getvalue()


def with_syntax(uid):
    dataset = pydicom.dcmread(BytesIO(FILE))
    dataset.file_meta.TransferSyntaxUID = uid
    dataset.PixelData = pydicom.encaps.encapsulate([b"\xff\x4f\xff\x51" + bytes(60)])
    dataset["PixelData"].VR = "OB"
    out = BytesIO()
    dataset.save_as(out)
    return out.getvalue()


def compressed():
    dataset = pydicom.dcmread(BytesIO(FILE))
    dataset.compress(pydicom.uid.RLELossless)
    out = BytesIO()
    dataset.save_as(out)
    return out.getvalue()


def test_the_tensor_is_what_the_model_declares():
    frame = pixels.frame_for_model(FILE, SPEC)

    declared = SPEC.inputs[0]
    assert (frame.tensor.dtype.name, frame.tensor.shape) == (declared.dtype, declared.dims)
    assert int(frame.tensor.max()) > 60_000


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"Modality": "CT"}, "wrong modality"),
        ({"BodyPartExamined": "HAND"}, "wrong body part"),
        ({"BodyPartExamined": None}, "wrong body part"),
        ({"ViewPosition": "LL"}, "wrong view"),
        ({"ViewPosition": None}, "view unknown"),
        ({"NumberOfFrames": "2"}, "more than one frame"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "colour image"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "colour image"),
        ({"PixelRepresentation": 1}, "signed pixel values"),
        ({"BitsStored": 4}, "unsupported bit depth"),
        ({"Rows": 60_000}, "absurd size"),
        ({"Rows": 64}, "absurd size"),
        ({"Rows": 512}, "pixel data truncated"),
        ({"PixelData": bytes(256 * 224 * 2)}, "constant image"),
        ({"PixelData": None}, "no pixel data"),
        ({"ImagerPixelSpacing": [0.1, 0.2]}, "non-square pixels"),
    ],
)
def test_a_picture_of_another_kind_is_refused_with_its_reason(elements, reason):
    with pytest.raises(NotAcceptableError) as refused:
        pixels.frame_for_model(changed(**elements), SPEC)

    assert refused.value.reason == reason
    assert reason in pixels.REASONS


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a DICOM file"),
        (b"PK\x03\x04" + bytes(400), "not a DICOM file"),
        (FILE[: len(FILE) // 2], "pixel data truncated"),
        (
            with_syntax("1.2.840.10008.1.2.4.90").replace(b"1.2.4.90", b"1.2.4.99"),
            "unsupported transfer syntax",
        ),
        (with_syntax(pydicom.uid.RLELossless), "pixel data unreadable"),
    ],
    ids=["empty", "a zip", "half a file", "a syntax nobody knows", "a broken stream"],
)
def test_a_file_that_cannot_be_read_is_refused_with_its_reason(data, reason):
    with pytest.raises(NotAcceptableError) as refused:
        pixels.frame_for_model(data, SPEC)

    assert refused.value.reason == reason


@pytest.mark.filterwarnings("ignore")
@given(st.binary(max_size=400), st.integers(0, len(FILE)))
def test_no_bytes_bring_anything_but_a_refusal(noise, at):
    data = FILE[:at] + noise + FILE[at + len(noise) :]

    reason = None
    try:
        assert pixels.frame_for_model(data, SPEC).tensor.shape == SPEC.inputs[0].dims
    except NotAcceptableError as refused:
        reason = refused.reason

    assert reason is None or reason in pixels.REASONS


@pytest.mark.parametrize(
    "same",
    [
        changed(PhotometricInterpretation="MONOCHROME1", PixelData=(4095 - PHANTOM.pixels).tobytes()),
        changed(RescaleSlope="-1", PixelData=(4095 - PHANTOM.pixels).tobytes()),
        changed(PixelData=(PHANTOM.pixels | 0xF000).tobytes()),
        changed(RescaleSlope="2", RescaleIntercept="-100"),
        compressed(),
    ],
    ids=["MONOCHROME1", "negative slope", "bits above BitsStored", "rescaled", "RLE"],
)
def test_the_same_picture_written_otherwise_gives_the_same_tensor(same):
    expected = pixels.frame_for_model(FILE, SPEC).tensor

    np.testing.assert_array_equal(pixels.frame_for_model(same, SPEC).tensor, expected)


def test_padding_takes_the_darkest_real_value():
    values = np.maximum(PHANTOM.pixels, 100)
    values[:40] = 4095
    frame = pixels.frame_for_model(changed(PixelData=values.tobytes(), PixelPaddingValue=4095), SPEC)

    assert frame.tensor[0, :36].max() <= 101 * 65535 / 4095


@given(st.integers(130, 700), st.integers(130, 700))
def test_a_box_finds_its_way_back_to_the_original(rows, columns):
    picture = np.full((rows, columns), 10, dtype=np.uint16)
    y0, x0 = rows // 4, columns // 5
    y1, x1 = y0 + rows // 3, x0 + columns // 3
    picture[y0:y1, x0:x1] = 4000

    tensor, geometry = pixels.fit_square(picture, 4095, 256)
    lit = np.argwhere(tensor[0] > 32_000)
    (top, left), (bottom, right) = lit.min(axis=0), lit.max(axis=0) + 1
    box = geometry.to_original((left, top, right, bottom))

    np.testing.assert_allclose(box, (x0, y0, x1, y1), atol=1.6 / geometry.scale)


def test_a_box_never_leaves_the_image():
    _, geometry = pixels.fit_square(PHANTOM.pixels, 4095, 256)

    assert geometry.to_original((-50, -50, 900, 900)) == (0.0, 0.0, 224.0, 256.0)


def test_the_resize_kernel_is_pinned():
    ramp = (np.arange(512 * 512, dtype=np.uint32) % 4096).astype(np.uint16).reshape(512, 512)
    tensor, _ = pixels.fit_square(ramp, 4095, 256)

    means = ramp.reshape(256, 2, 256, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(tensor[0] * (4095 / 65535), means, atol=1)


@pytest.mark.parametrize("data", [FILE, compressed(), changed(WindowWidth=None, WindowCenter=None)])
def test_the_viewer_gets_a_small_picture(data):
    picture = Image.open(BytesIO(pixels.display_image(data, 128)))

    assert picture.format == "JPEG"
    assert max(picture.size) == 128
    assert np.asarray(picture).std() > 20


def test_the_viewer_shows_low_values_bright_where_the_file_says_so():
    shown = pixels.display_array(changed(PhotometricInterpretation="MONOCHROME1"))

    np.testing.assert_allclose(shown.astype(int), 255 - pixels.display_array(FILE).astype(int), atol=2)


def test_the_viewer_shows_the_middle_frame():
    frames = np.zeros((3, 256, 224), dtype=np.uint16)
    frames[1, :128] = 4095
    data = changed(NumberOfFrames="3", PixelData=frames.tobytes())

    shown = pixels.display_array(data)

    assert shown[:128].mean() > 250
    assert shown[128:].mean() < 5


@pytest.mark.parametrize(
    "void",
    [
        {"WindowCenter": "0", "WindowWidth": "0"},
        {"WindowCenter": None},
        {"WindowWidth": ""},
        {"VOILUTSequence": [pydicom.Dataset()]},
    ],
)
def test_the_viewer_shows_a_file_whose_window_makes_no_sense_as_one_without(void):
    shown = pixels.display_array(changed(**void))

    np.testing.assert_array_equal(shown, pixels.display_array(changed(WindowCenter=None, WindowWidth=None)))


RAMP = np.repeat(np.arange(256, dtype=np.uint16) * 16, 224).reshape(256, 224)
"""0 to 4080, from top to bottom."""


@pytest.mark.parametrize("part", [slice(0, 256), slice(100, 160)])
def test_the_viewer_shows_a_value_as_bright_as_the_window_says_whatever_else_the_picture_holds(part):
    rows = np.repeat(RAMP[part][:, :1], 224, axis=1)
    elements = {"Rows": len(rows), "WindowCenter": "2048", "WindowWidth": "1025", "PixelData": rows.tobytes()}

    shown = pixels.display_array(changed(**elements))

    wanted = np.clip((rows - 2047.5) / 1024 + 0.5, 0, 1) * 255
    np.testing.assert_allclose(shown.astype(float), wanted, atol=1)


def test_the_viewer_shows_what_a_table_of_the_file_says():
    table = pydicom.Dataset()
    table.LUTDescriptor, table.LUTData = [4096, 0, 12], [value // 2 for value in range(4096)]
    table["LUTDescriptor"].VR = table["LUTData"].VR = "US"
    elements = {"VOILUTSequence": [table], "PixelData": RAMP.tobytes()}

    shown = pixels.display_array(changed(**elements))

    np.testing.assert_allclose(shown.astype(int), RAMP.astype(int) // 2 * 255 // 4095, atol=1)


def test_the_viewer_passes_over_a_window_that_leaves_next_to_nothing():
    shown = pixels.display_array(changed(WindowCenter="0", WindowWidth="1000000"))

    np.testing.assert_array_equal(shown, pixels.display_array(changed(WindowCenter=None, WindowWidth=None)))


def test_the_viewer_refuses_what_it_cannot_decode():
    with pytest.raises(NotAcceptableError):
        pixels.display_image(with_syntax(pydicom.uid.JPEG2000Lossless))


@pytest.mark.parametrize("allocated", [1, 32, 64])
def test_the_viewer_leaves_codestreams_of_other_depths_than_bytes_and_words_alone(monkeypatch, allocated):
    # One decoder that the library asks ends the process on some of them; no exception comes back.
    monkeypatch.setattr(
        "inference.display.pixel_array", lambda *_, **__: pytest.fail("the library was asked")
    )
    dataset = pydicom.dcmread(BytesIO(with_syntax(pydicom.uid.JPEG2000Lossless)))
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = allocated, allocated, allocated - 1
    out = BytesIO()
    dataset.save_as(out)

    with pytest.raises(NotAcceptableError, match="unsupported bit depth"):
        pixels.display_array(out.getvalue())


@pytest.mark.parametrize(
    "syntax", [pydicom.uid.ExplicitVRLittleEndian, pydicom.uid.DeflatedExplicitVRLittleEndian]
)
def test_the_viewer_shows_single_bits(syntax):
    bits = np.zeros((256, 224), dtype=np.uint8)
    bits[:, 112:] = 1
    dataset = pydicom.dcmread(
        BytesIO(changed(BitsAllocated=1, BitsStored=1, HighBit=0, WindowWidth=None, WindowCenter=None))
    )
    dataset.PixelData = np.packbits(bits, bitorder="little").tobytes()
    dataset.file_meta.TransferSyntaxUID = syntax
    out = BytesIO()
    dataset.save_as(out)

    np.testing.assert_array_equal(pixels.display_array(out.getvalue()), bits * 255)
