"""Slices of CT in JPEG 2000: read at a lower resolution where the model's input has no more pixels."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from inference.models.head_ct_demo import SPEC
from inference.pixels import AIR, frame_for_model
from inference.spec import NotAcceptableError
from inference.syntaxes import HTJ2K_LOSSLESS, JPEG_2000_LOSSLESS
from inference.training import head
from tests.support.xray import xray

SIDE = 2 * SPEC.inputs[0].dims[-1]
UNITS = head.cut(head.draw(7), 10.0, SIDE).values
STORED = np.clip(UNITS.astype(np.int32) - AIR, 0, 4095).astype(np.uint16)
FULL = replace(SPEC, reading=replace(SPEC.reading, reduced=False))
CODED = {
    JPEG_2000_LOSSLESS: imagecodecs.jpeg2k_encode(
        STORED, level=0, codecformat="j2k", bitspersample=12, reversible=True, resolutions=6
    ),
    HTJ2K_LOSSLESS: imagecodecs.htj2k_encode(STORED),
}


def slice_file(syntax="", pixels=STORED, **changes):
    dataset = pydicom.dcmread(
        BytesIO(
            xray(
                Modality="CT", BodyPartExamined="HEAD", Rows=SIDE, Columns=SIDE, RescaleSlope="1",
                RescaleIntercept=str(AIR), RescaleType="HU", PixelData=pixels.tobytes(), **changes,
            )
        )
    )  # fmt: skip
    if syntax:
        dataset.PixelData = encapsulate([bytes(CODED[syntax])])
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = UID(syntax)
    out = BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


@pytest.mark.parametrize("syntax", CODED)
def test_a_slice_at_half_its_size_is_nearly_the_whole_one_made_small(syntax):
    whole, half = (frame_for_model(slice_file(syntax), spec) for spec in (FULL, SPEC))

    off = np.abs(half.tensor.astype(int) - whole.tensor)[0, 8:-8, 8:-8]
    brain = (whole.tensor[0, 8:-8, 8:-8] > 0) & (whole.tensor[0, 8:-8, 8:-8] < 80)
    assert off.any()
    assert half.geometry == whole.geometry
    assert off[brain].mean() < 5


@pytest.mark.parametrize(
    ("syntax", "spec", "changes"),
    [(JPEG_2000_LOSSLESS, FULL, {}), (HTJ2K_LOSSLESS, FULL, {}), (JPEG_2000_LOSSLESS, SPEC, {"PixelPaddingValue": 0})],
    ids=["JPEG 2000 in full", "HTJ2K in full", "a slice with padding, whose border would be smeared"],
)  # fmt: skip
def test_what_is_not_reduced_gives_the_values_of_the_native_slice(syntax, spec, changes):
    coded = frame_for_model(slice_file(syntax, **changes), spec)

    np.testing.assert_array_equal(coded.tensor, frame_for_model(slice_file(**changes), spec).tensor)


def grouped(slope, kind="HU", spacing=(0.5, 0.5)):
    """Functional groups of an enhanced CT: rescale and spacing (PS3.3 §C.7.6.16.2)."""
    values, measures, group = Dataset(), Dataset(), Dataset()
    values.RescaleSlope, values.RescaleIntercept, values.RescaleType = str(slope), str(AIR), kind
    measures.PixelSpacing = list(spacing)
    group.PixelValueTransformationSequence, group.PixelMeasuresSequence = [values], [measures]
    return group


def test_each_frame_of_an_enhanced_object_has_the_rescale_of_its_own_group():
    wanted = frame_for_model(slice_file(), SPEC)
    stored = np.stack([STORED, STORED * 2])
    groups = [grouped(1), grouped(0.5)]
    data = slice_file(
        NumberOfFrames="2", BitsStored=13, HighBit=12, PerFrameFunctionalGroupsSequence=groups, pixels=stored
    )

    for frame in (0, 1):
        np.testing.assert_array_equal(frame_for_model(data, SPEC, frame).tensor, wanted.tensor)


@pytest.mark.parametrize(
    ("group", "reason"),
    [(grouped(1, kind="US"), "rescale missing"), (grouped(1, spacing=(0.5, 1)), "non-square pixels")],
    ids=["no Hounsfield units", "long pixels"],
)
def test_functional_groups_are_held_to_the_contract_too(group, reason):
    with pytest.raises(NotAcceptableError, match=reason):
        frame_for_model(slice_file(SharedFunctionalGroupsSequence=[group]), SPEC)
