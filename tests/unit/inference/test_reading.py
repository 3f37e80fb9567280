"""Magnetic resonance and ultrasound: what is done to values without a unit, and to colours."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels.processing import apply_color_lut
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian

from inference import pixels
from inference.models.brain_mr_demo import SPEC as MR
from inference.models.ultrasound_demo import SPEC as US
from inference.spec import NotAcceptableError

ROWS, COLUMNS = 96, 64
RAMP = np.add.outer(np.arange(ROWS), np.arange(COLUMNS)).astype(np.uint16)
COLOURS = np.stack([RAMP, 159 - RAMP, RAMP // 2], axis=-1).astype(np.uint8)


def file(values, modality, body_part="", syntax=ExplicitVRLittleEndian, **elements):
    made = Dataset()
    made.preamble = bytes(128)
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = UID(syntax)
    made.Modality, made.BodyPartExamined = modality, body_part
    made.Rows, made.Columns = values.shape[-3:-1] if values.shape[-1] == 3 else values.shape[-2:]
    made.SamplesPerPixel = 3 if values.shape[-1] == 3 else 1
    made.PhotometricInterpretation = "RGB" if values.shape[-1] == 3 else "MONOCHROME2"
    made.BitsAllocated = 8 * values.dtype.itemsize
    made.BitsStored, made.HighBit = made.BitsAllocated, made.BitsAllocated - 1
    made.PixelRepresentation = 0
    if made.SamplesPerPixel == 3:
        made.PlanarConfiguration = 0
    little = syntax != ExplicitVRBigEndian
    made.PixelData = values.astype(values.dtype.newbyteorder("<" if little else ">")).tobytes()
    made["PixelData"].VR = "OW"
    for name, value in elements.items():
        setattr(made, name, value)
    out = BytesIO()
    made.save_as(out, implicit_vr=False, little_endian=little)
    return out.getvalue()


def mr(values=RAMP, **elements):
    return file(values, "MR", "HEAD", **{"ViewPosition": "", **elements})


def us(values, **elements):
    return file(values, "US", "ABDOMEN", **elements)


def inside(frame):
    """The picture within the square's padding."""
    height, width = frame.geometry.size
    top, left = frame.geometry.top, frame.geometry.left
    return frame.tensor[:, top : top + height, left : left + width]


def test_a_signal_spreads_from_nothing_to_its_brightest_over_16_bits():
    dark, bright = (pixels.frame_for_model(mr(RAMP * factor + 40), MR) for factor in (1, 20))

    for frame in (dark, bright):
        assert (frame.tensor.dtype.name, frame.tensor.shape) == ("uint16", MR.inputs[0].dims)
        assert int(frame.tensor.max()) == 65535
    assert int(inside(dark).min()) == round(40 / (RAMP.max() + 40) * 65535)
    assert int(dark.tensor[0, 0, 0]) == 0, "the square is padded with nothing"


def test_a_signal_scaled_otherwise_gives_the_same_tensor():
    found = [pixels.frame_for_model(mr(RAMP * factor), MR).tensor.astype(int) for factor in (100, 200)]

    assert np.abs(found[0] - found[1]).max() <= 65535 / (RAMP.max() * 100) + 1


@pytest.mark.parametrize("at", ["image", "shared", "frame"])
def test_an_intercept_says_which_stored_value_is_no_signal(at):
    told = {"RescaleSlope": "0.5", "RescaleIntercept": "-500"}
    groups: dict[str, dict[str, object]] = {
        "image": {**told},
        "shared": {"SharedFunctionalGroupsSequence": [grouped(**told)]},
        "frame": {"PerFrameFunctionalGroupsSequence": [grouped(**told)]},
    }

    found = pixels.frame_for_model(mr(RAMP * 20 + 1000, **groups[at]), MR)

    np.testing.assert_array_equal(found.tensor, pixels.frame_for_model(mr(RAMP * 20), MR).tensor)


def grouped(**told):
    """An item of functional groups with a rescale (PS3.3 §C.7.6.16.2.9)."""
    item, group = Dataset(), Dataset()
    for keyword, value in told.items():
        setattr(item, keyword, value)
    group.PixelValueTransformationSequence = [item]
    return group


def test_padding_of_a_signal_is_no_signal():
    values = RAMP + 100
    padded = values.copy()
    padded[:8] = 4000

    frame = pixels.frame_for_model(mr(padded, PixelPaddingValue=4000), MR)

    assert int(inside(frame)[0, 0].max()) < int(inside(frame)[0, -1].max()) == 65535


def test_padding_may_be_a_range():
    values = RAMP + 100
    padded, ranged = values.copy(), values.copy()
    padded[:8], ranged[:8] = 4000, np.arange(3000, 3000 + COLUMNS)

    one, many = (
        pixels.frame_for_model(mr(stored, PixelPaddingValue=value, **more), MR)
        for stored, value, more in ((padded, 4000, {}), (ranged, 3100, {"PixelPaddingRangeLimit": 3000}))
    )

    np.testing.assert_array_equal(one.tensor, many.tensor)


@pytest.mark.parametrize(
    ("spec", "data", "reason"),
    [
        (MR, mr(np.zeros((ROWS, COLUMNS), np.uint16)), "constant image"),
        (MR, mr(np.where(RAMP > 130, RAMP, 0).astype(np.uint16)), "blank or padded"),
        (MR, mr(COLOURS), "colour image"),
        (MR, mr(PixelSpacing=["1", "2"]), "non-square pixels"),
        (MR, mr(BodyPartExamined="KNEE"), "wrong body part"),
        (MR, mr(PhotometricInterpretation="MONOCHROME1"), "inverted values"),
        (MR, mr(BitsStored=12, HighBit=15), "unsupported bit depth"),
        (MR, mr(RescaleSlope="-1", RescaleIntercept="0"), "rescale missing"),
        (US, us(COLOURS, PhotometricInterpretation="HSV"), "colour image"),
        (US, us(COLOURS, PhotometricInterpretation="YBR_PARTIAL_420"), "colour image"),
        (US, us(np.zeros((ROWS, COLUMNS, 3), np.uint8)), "constant image"),
        (US, us(RAMP.astype(np.uint8), PhotometricInterpretation="PALETTE COLOR"), "colour image"),
    ],
    ids=[
        "nothing",
        "mostly nothing",
        "colour",
        "long pixels",
        "a knee",
        "dark is bright",
        "high bits",
        "a falling slope",
        "hue",
        "colour of video",
        "black",
        "no palette",
    ],
)
def test_what_the_model_must_not_see_is_refused(spec, data, reason):
    with pytest.raises(NotAcceptableError) as refused:
        pixels.frame_for_model(data, spec)

    assert refused.value.reason == reason


def test_colours_keep_their_planes():
    frame = pixels.frame_for_model(us(COLOURS), US)

    assert (frame.tensor.dtype.name, frame.tensor.shape) == ("uint8", US.inputs[0].dims)
    means = inside(frame).reshape(3, -1).mean(axis=1)
    np.testing.assert_allclose(means, COLOURS.reshape(-1, 3).mean(axis=0), atol=1)


def test_gray_ultrasound_fills_every_channel_and_monochrome1_is_turned():
    gray = RAMP.astype(np.uint8)
    bright = pixels.frame_for_model(us(gray), US).tensor
    dark = pixels.frame_for_model(us(255 - gray, PhotometricInterpretation="MONOCHROME1"), US).tensor

    assert np.array_equal(bright[0], bright[1])
    assert np.array_equal(bright[0], bright[2])
    np.testing.assert_array_equal(bright, dark)


def test_the_middle_frame_is_read_of_many():
    frames = np.stack([COLOURS // 4, COLOURS, COLOURS // 4])
    many = us(frames, Rows=ROWS, Columns=COLUMNS, NumberOfFrames="3")

    np.testing.assert_array_equal(
        pixels.frame_for_model(many, US).tensor, pixels.frame_for_model(us(COLOURS), US).tensor
    )


def palette(bits, entries=160, first=0, big=False):
    """Tables of a fire, as `bits` says."""
    elements = {}
    for factor, colour in ((1.0, "Red"), (0.5, "Green"), (0.25, "Blue")):
        levels = (np.arange(entries) * factor * 255 / entries).astype(np.uint16)
        words = levels << 8 if bits == 16 else levels
        data = words.astype(np.uint8) if bits == 8 else words.astype(">u2" if big else "<u2")
        elements[f"{colour}PaletteColorLookupTableDescriptor"] = [entries, first, bits]
        elements[f"{colour}PaletteColorLookupTableData"] = data.tobytes()
    return {"PhotometricInterpretation": "PALETTE COLOR", **elements}


@pytest.mark.parametrize(
    ("bits", "first", "stored"), [(16, 0, np.uint8), (8, 0, np.uint8), (16, 20, np.uint16)]
)
def test_a_palette_gives_the_colours_that_pydicom_gives(bits, first, stored):
    data = us(RAMP.astype(stored), **palette(bits, first=first))
    whole = pydicom.dcmread(BytesIO(data))
    expected = apply_color_lut(RAMP.astype(stored), whole)
    expected = (expected >> 8 if expected.dtype == np.uint16 else expected).astype(np.uint8)

    frame = pixels.frame_for_model(data, US)

    np.testing.assert_array_equal(frame.tensor, pixels.frame_for_model(us(expected), US).tensor)


def test_a_palette_of_the_other_byte_order_gives_the_same():
    little = us(RAMP, **palette(16))
    big = us(RAMP, syntax=ExplicitVRBigEndian, **palette(16, big=True))

    np.testing.assert_array_equal(
        pixels.frame_for_model(little, US).tensor, pixels.frame_for_model(big, US).tensor
    )


@pytest.mark.parametrize(
    "fault",
    [
        {"RedPaletteColorLookupTableData": b"\0" * 10},
        {"GreenPaletteColorLookupTableDescriptor": [160, 0, 12]},
        {"BluePaletteColorLookupTableData": None},
    ],
    ids=["too short", "12 bits", "missing"],
)
def test_a_palette_that_is_not_what_it_says_is_refused(fault):
    elements = {**palette(16), **fault}
    with pytest.raises(NotAcceptableError, match="colour image"):
        pixels.frame_for_model(us(RAMP, **{k: v for k, v in elements.items() if v is not None}), US)


@pytest.mark.parametrize(("data", "spec"), [(mr(), MR), (us(COLOURS), US)], ids=["MR", "US"])
def test_a_frame_says_when_its_values_were_there(data, spec):
    assert pixels.frame_for_model(data, spec).decoded_at is not None
