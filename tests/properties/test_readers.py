"""The second reader against pydicom, and the walker against both, over generated data sets."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from io import BytesIO

import pydicom
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from schemas.identifiers import PseudonymKey, Pseudonyms
from stream_processors.deidentification import REASONS, MoreNeededError, RefusedError, deidentify, plan
from stream_processors.deidentification.second_reader import Reading, read_again
from tests.support.dicoms import Options, ct_slice, to_bytes

NAMES = Pseudonyms(PseudonymKey("epoch-1", hashlib.sha256(b"a test master").digest()))
MANY = settings(max_examples=50, deadline=None)
SYNTAXES = [str(each) for each in (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian)]

words = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=1, max_size=12).map(lambda text: "ZQ" + text)
leaves = st.sampled_from(
    [
        ("PatientName", words),
        ("PatientComments", words),
        ("StudyDescription", words),
        ("OperatorsName", words),
        ("Manufacturer", words),
        ("TextValue", words),
        ("ConvolutionKernel", words),
        ("SliceThickness", st.just("2.5")),
        ("Rows", st.integers(1, 512)),
        ("PatientBirthDate", st.just("19610203")),
        ("AcquisitionTime", st.just("031755")),
        ("FrameOfReferenceUID", st.just("1.2.826.0.1.3680043.9.7777.5")),
    ]
)
nests = st.sampled_from(
    [
        "SharedFunctionalGroupsSequence",
        "ReferencedImageSequence",
        "RequestAttributesSequence",
        "ContentSequence",
        "DeviceSequence",
    ]
)


@st.composite
def data_sets(draw: st.DrawFn, depth: int = 2) -> Dataset:
    made = Dataset()
    for keyword, value in draw(st.lists(leaves, max_size=5)):
        setattr(made, keyword, draw(value))
    if draw(st.booleans()):
        block = made.private_block(0x0029, "ZQ PRIVATE", create=True)
        block.add_new(0x10, "LO", draw(words))
        block.add_new(0x11, "SQ", Sequence([draw(data_sets(0))]))
    if depth:
        for keyword in draw(st.lists(nests, max_size=2, unique=True)):
            items = draw(st.lists(data_sets(depth - 1), max_size=3))
            setattr(made, keyword, Sequence(items))
            made[keyword].is_undefined_length = draw(st.booleans())
            for each in items:
                each.is_undefined_length_sequence_item = draw(st.booleans())
    return made


@st.composite
def files(draw: st.DrawFn) -> bytes:
    source = ct_slice("a", Options(synthetic=False, transfer_syntax=draw(st.sampled_from(SYNTAXES))))
    source.update({element.tag: element for element in draw(data_sets())})
    return to_bytes(source)


def flat(data_set: Dataset, around: tuple[int, ...] = ()) -> list[tuple[tuple[int, ...], int]]:
    found = []
    for element in data_set:
        found.append((around, int(element.tag)))
        if element.VR == "SQ":
            for item in element.value:
                found.extend(flat(item, (*around, int(element.tag))))
    return found


@MANY
@given(raw=files())
def test_the_second_reader_finds_what_pydicom_finds(raw: bytes) -> None:
    clear = bytes(128) + raw[128:]
    read = [(each.around, each.tag) for each in read_again(clear).elements]
    expected = flat(pydicom.dcmread(BytesIO(raw)))
    implicit_private = [each for each in expected if any(tag >> 16 & 1 for tag in each[0])]
    assert set(expected) - set(implicit_private) <= set(read) <= set(expected)


@MANY
@given(raw=files())
def test_whatever_is_nested_how_ever_nothing_of_it_leaks_and_pydicom_agrees(raw: bytes) -> None:
    data = deidentify(raw, NAMES).data
    for planted in (b"ZQ", b"19610203", b"031755", b"1.2.826.0.1.3680043.9.7777.5"):
        assert planted not in data
    output = pydicom.dcmread(BytesIO(data))
    assert flat(output) == [(each.around, each.tag) for each in read_again(data).elements]
    described = min(len(output.PixelData), output.Rows * output.Columns * 2)  # what lies behind is blanked
    assert output.PixelData[:described] == pydicom.dcmread(BytesIO(raw)).PixelData[:described]
    assert not any(output.PixelData[described:])
    again = deidentify(data, NAMES)
    assert (again.data, again.report.own_output) == (data, True)


def planned(head: bytes, size: int) -> object:
    """The pieces of a plan, or the number of bytes that it asks for."""
    try:
        return plan(head, size, NAMES).pieces
    except MoreNeededError as needed:
        return needed.size


def read_or_reason(reader: Callable[[bytes], object], raw: bytes) -> object:
    """What a reader makes of bytes, or the reason of its refusal."""
    try:
        return reader(raw)
    except RefusedError as refused:
        return refused.reason


@MANY
@given(raw=files(), data=st.data())
def test_a_head_gives_the_plan_of_the_whole_or_asks_for_more(raw: bytes, data: st.DataObject) -> None:
    given_bytes = data.draw(st.integers(0, len(raw)))
    outcome = planned(raw[:given_bytes], len(raw))
    assert outcome == planned(raw, len(raw)) or given_bytes < int(str(outcome)) <= len(raw)


@MANY
@given(raw=files(), data=st.data())
def test_damage_anywhere_ends_in_a_reason_or_a_verified_file(raw: bytes, data: st.DataObject) -> None:
    damaged = bytearray(bytes(128) + raw[128:])
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(128, len(raw) - 1))] = data.draw(st.integers(0, 255))
    outcome = read_or_reason(lambda data: deidentify(data, NAMES).data, bytes(damaged))
    assert outcome in REASONS or (isinstance(outcome, bytes) and read_again(outcome).end == len(outcome))
    again = read_or_reason(read_again, bytes(damaged))
    assert isinstance(again, Reading) or again == "verification-failed"
