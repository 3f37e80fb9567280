"""What a policy says of the pixels is what the output holds, says of itself, and is recognised by."""

from __future__ import annotations

import hashlib
from io import BytesIO

import pydicom
import pytest
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless

from schemas.identifiers import PseudonymKey, Pseudonyms
from stream_processors.deidentification import (
    DEFAULT,
    MoreNeededError,
    Pixels,
    RefusedError,
    Verdict,
    deidentify,
    plan,
)
from stream_processors.deidentification.codestreams import DELIMITER
from stream_processors.deidentification.pixels_at_risk import withhold
from tests.support.dicoms import Options, ct_slice, secondary_capture, to_bytes

NAMES = Pseudonyms(PseudonymKey("epoch-1", hashlib.sha256(b"a test master").digest()))
SOURCE = ct_slice("a", Options(nested=True))
RAW = to_bytes(SOURCE)
LENGTH = len(SOURCE.PixelData)
DONE = {
    0x00280301: ("CS", b"NO"),  # not in the source
    0x00280004: ("CS", b"MONOCHROME1"),  # in it
    0x00280030: None,
}


def blank(pixels: Pixels) -> Verdict:
    """A policy that blanks everything."""
    return Verdict(value=bytes(pixels.end - pixels.value_at), attributes=DONE, codes=("113101",))


def test_the_policys_pixels_stand_in_the_output_and_it_says_so() -> None:
    done = deidentify(RAW, NAMES, policy=blank)
    output = pydicom.dcmread(BytesIO(done.data))
    assert output.PixelData == bytes(LENGTH)
    assert (output.BurnedInAnnotation, output.PhotometricInterpretation) == ("NO", "MONOCHROME1")
    assert "PixelSpacing" not in output
    codes = [each.CodeValue for each in output.DeidentificationMethodCodeSequence]
    assert codes == sorted((*DEFAULT.codes, "113101"))
    assert ("(7FE0,0010) PixelData", "clean-pixels") in done.report.actions
    assert b"ZQ" not in done.data


def test_such_an_output_is_our_own_and_not_cleaned_again() -> None:
    def never(pixels: Pixels) -> Verdict:
        raise AssertionError(pixels.size)

    first = deidentify(RAW, NAMES, policy=blank).data
    again = deidentify(first, NAMES, policy=never)
    assert (again.data, again.report.own_output) == (first, True)


def test_pixels_may_change_their_syntax() -> None:
    frames = encapsulate([b"\xff\x4fabcd"]) + DELIMITER

    def compress(_pixels: Pixels) -> Verdict:
        return Verdict(value=frames, vr="OB", transfer_syntax_uid=str(JPEG2000Lossless))

    done = deidentify(RAW, NAMES, policy=compress)
    output = pydicom.dcmread(BytesIO(done.data))
    assert output.file_meta.TransferSyntaxUID == JPEG2000Lossless == done.context.transfer_syntax_uid
    assert list(generate_frames(output.PixelData)) == [b"\xff\x4fabcd"]
    assert deidentify(done.data, NAMES).report.own_output


def test_a_policy_is_told_where_the_pixels_are_and_of_whom() -> None:
    seen = []

    def look(pixels: Pixels) -> Verdict:
        seen.append(pixels)
        return Verdict()

    deidentify(RAW, NAMES, policy=look)
    (pixels,) = seen
    assert pixels.source[pixels.value_at : pixels.end] == SOURCE.PixelData
    assert (pixels.transfer_syntax_uid, pixels.encapsulated) == (ExplicitVRLittleEndian, False)
    assert pixels.facts.text(0x00080060) == "CT"
    assert "zqfamily" in pixels.identity.sought()


def test_a_policy_may_ask_for_the_pixels_or_refuse_the_file() -> None:
    def ask(pixels: Pixels) -> Verdict:
        if len(pixels.source) < pixels.size:
            raise MoreNeededError(pixels.size)
        raise RefusedError("malformed")

    head = RAW[:-LENGTH]
    with pytest.raises(MoreNeededError):
        plan(head, len(RAW), NAMES, policy=ask)
    with pytest.raises(RefusedError, match="malformed"):
        plan(RAW, len(RAW), NAMES, policy=ask)


def test_without_a_policy_what_is_at_risk_is_withheld() -> None:
    done = deidentify(to_bytes(secondary_capture("a")), NAMES, policy=withhold)
    assert done.pixels_at_risk == "secondary-capture"
    assert "PixelData" not in pydicom.dcmread(BytesIO(done.data))
