"""What a model must not see is refused on the first image; clean images are not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from io import BytesIO

import numpy as np
import pydicom
import pytest

from inference.chest import average_ranks
from inference.input_contract import REASONS
from inference.models.cxr_demo import SPEC
from inference.pixels import AIR, frame_for_model
from inference.spec import NotAcceptableError, Reading, TensorSpec
from inference.training.phantoms import SyntheticIdentity, generate, to_dicom
from inference.training.template import average
from tests.support.ct import ct, head
from tests.support.lateral import lateral
from tests.support.repository import ROOT

WHO = SyntheticIdentity("Probe^Synthetic", "P1", "A1", "19700101", "F", datetime(2026, 1, 2, tzinfo=UTC))
SEEDS = range(700_000, 700_100)
CT = replace(
    SPEC, modalities=frozenset({"CT"}), body_parts=frozenset({"HEAD"}), views=frozenset(),
    inputs=(TensorSpec("image", "int16", (1, 128, 128), "chw"),), reading=Reading("hounsfield"),
)  # fmt: skip
HEAD = head(1)
SAMPLES = ROOT.parent / "shared" / "dicom-samples" / "cxr"


def refusal(data, spec=SPEC):
    """The reason, or nothing."""
    try:
        frame_for_model(data, spec)
    except NotAcceptableError as refused:
        return refused.reason
    return ""


@cache
def chest(seed):
    return generate(seed, rows=256, columns=224)


def seen():
    return [chest(seed) for seed in SEEDS[:6]]


def xray(pixels, phantom=None, **elements):
    whole = replace(phantom or chest(SEEDS[0]), pixels=np.ascontiguousarray(pixels))
    dataset = pydicom.dcmread(BytesIO(to_dicom(whole, WHO)))
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    out = BytesIO()
    dataset.save_as(out)
    return out.getvalue()


def windowed(pixels):
    """Eight bits, as an export to a picture gives them."""
    return np.clip((pixels.astype(np.float32) - 600) / 2800 * 255, 0, 255).astype(np.uint8)


SPOILED = {
    "inverted, and the header does not say so": (lambda p: xray(4095 - p.pixels), {"inverted values"}),
    "called inverted, and it is not": (
        lambda p: xray(p.pixels, PhotometricInterpretation="MONOCHROME1"),
        {"inverted values"},
    ),
    "turned by a quarter": (lambda p: xray(np.rot90(p.pixels)), {"rotated"}),
    "turned by three quarters": (lambda p: xray(np.rot90(p.pixels, 3)), {"rotated"}),
    "upside down": (lambda p: xray(np.rot90(p.pixels, 2)), {"rotated", "not a frontal chest"}),
    "a lateral that is called frontal": (lambda p: xray(lateral(p.seed)), {"not a frontal chest", "rotated"}),
    "a window applied, eight bits": (
        lambda p: xray(windowed(p.pixels).astype(np.uint16), BitsStored=8, HighBit=7),
        {"window already applied"},
    ),
    "a window applied, eight bits that are called twelve": (
        lambda p: xray(windowed(p.pixels).astype(np.uint16)),
        {"window already applied"},
    ),
    "a window applied, stretched to twelve bits": (
        lambda p: xray(windowed(p.pixels).astype(np.uint16) * 16),
        {"window already applied"},
    ),
    "blank": (lambda p: xray(np.full_like(p.pixels, 700)), {"constant image", "window already applied"}),
    "mostly shutter": (
        lambda p: xray(np.where(np.arange(256)[:, None] < 190, 0, p.pixels)),
        {"blank or padded"},
    ),
    "noise": (
        lambda p: xray(np.random.default_rng(p.seed).integers(0, 4096, p.pixels.shape).astype(np.uint16)),
        {"not a frontal chest"},
    ),
    "a hand that is called a chest": (
        lambda p: xray(np.add.outer(np.arange(256) * 8, np.arange(224) * 9).astype(np.uint16) % 4096),
        {"not a frontal chest", "rotated", "inverted values"},
    ),
}


@pytest.mark.parametrize("kind", sorted(SPOILED))
def test_a_spoiled_xray_is_refused_at_once(kind):
    spoil, reasons = SPOILED[kind]

    assert {refusal(spoil(phantom)) for phantom in seen()} <= reasons <= REASONS


def test_at_most_one_clean_xray_in_a_hundred_is_refused():
    refused = [reason for phantom in map(chest, SEEDS) if (reason := refusal(xray(phantom.pixels, phantom)))]

    assert len(refused) <= len(SEEDS) // 100


def test_a_grey_scale_of_another_maker_is_not_refused():
    curves = (lambda v: v**0.5, lambda v: v**2, lambda v: 0.2 + 0.5 * v)

    for phantom, curve in zip(seen(), curves * 2, strict=True):
        pixels = (curve(phantom.pixels / 4095) * 4095).astype(np.uint16)
        assert refusal(xray(pixels, phantom)) == ""


def test_the_average_chest_is_the_one_that_its_program_makes():
    assert float(average(16).ravel() @ average_ranks()) > 0.98


def test_a_frontal_chest_is_not_refused_a_real_one_neither_where_there_is_one():
    real = [path.read_bytes() for path in sorted(SAMPLES.glob("cr_chest_j2k_lossy.dcm"))]
    assert {refusal(data) for data in [*real, xray(chest(SEEDS[0]).pixels)]} == {""}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (ct(HEAD, RescaleIntercept=None), "rescale missing"),
        (ct(HEAD, RescaleSlope=None), "rescale missing"),
        (ct(HEAD, RescaleSlope="0"), "rescale missing"),
        (ct(HEAD, RescaleType="US"), "rescale missing"),
        (ct(HEAD, RescaleIntercept="0"), "not Hounsfield units"),
        (ct(HEAD, RescaleIntercept="-8192"), "not Hounsfield units"),
        (ct(HEAD, RescaleSlope="1", RescaleIntercept="-2500"), "not Hounsfield units"),
        (ct(HEAD, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), "wrong view"),
        (ct(HEAD, BodyPartExamined="ABDOMEN"), "wrong body part"),
        (ct(HEAD, Modality="MR"), "wrong modality"),
        (ct(HEAD, BitsStored=8, HighBit=7), "window already applied"),
        (ct((np.clip(HEAD, 0, 80) * 3.1).astype(np.int16) - 1000), "not Hounsfield units"),
        (ct(np.full_like(HEAD, -1000)), "constant image"),
    ],
)
def test_a_spoiled_slice_is_refused_at_once(data, reason):
    assert refusal(data, CT) == reason


def test_no_clean_slice_is_refused():
    assert {refusal(ct(head(seed)), CT) for seed in range(60)} == {""}


def test_a_slice_comes_in_hounsfield_units():
    frame = frame_for_model(ct(HEAD), CT)

    assert frame.tensor.dtype == np.int16
    np.testing.assert_array_equal(frame.tensor[0], HEAD)


@pytest.mark.parametrize("slope", ["2", "0.5"])
def test_a_rescale_with_a_slope_gives_the_same_units(slope):
    units = (HEAD // 2 * 2).astype(np.int16)
    stored = ((units.astype(np.float64) + 1024) / float(slope)).astype(np.uint16)

    found = frame_for_model(
        ct(HEAD, RescaleSlope=slope, PixelData=stored.tobytes(), BitsStored=16, HighBit=15), CT
    )

    np.testing.assert_array_equal(found.tensor[0], units)


def test_padding_of_a_slice_is_air():
    stored = (HEAD.astype(np.int32) + 1024).astype(np.int16)
    stored[:20] = -2000
    data = ct(
        HEAD,
        PixelRepresentation=1,
        BitsStored=16,
        HighBit=15,
        PixelPaddingValue=-2000,
        PixelData=stored.tobytes(),
    )

    found = frame_for_model(data, CT).tensor[0]

    assert set(np.unique(found[:20])) == {AIR}
    np.testing.assert_array_equal(found[20:], HEAD[20:])
