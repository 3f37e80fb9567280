from __future__ import annotations

import contextlib
import gzip
import io
import struct
import zipfile

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from producers.header import MalformedError, NeedMoreError, read_header
from tests.support.gateways import dicom, saved

STUDY, SERIES, INSTANCE = "1.2.3", "1.2.3.4", "1.2.3.4.5"
WHOLE = dicom(STUDY, series=SERIES, instance=INSTANCE)


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("image.dcm", dicom())
    return out.getvalue()


def with_long_element(length: int) -> bytes:
    """A file whose last element claims `length` bytes and has four."""
    whole = dicom(drop=["PixelData"])
    return whole + struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, length) + b"\0\0\0\0"


@pytest.mark.parametrize(
    "syntax",
    [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian],
)
def test_ids_and_identity_are_read_in_every_encoding(syntax):
    data = dicom(STUDY, series=SERIES, instance=INSTANCE, patient="Ünal^Änne", syntax=syntax,
                 changes={"SpecificCharacterSet": "ISO_IR 192"})  # fmt: skip
    header = read_header(data, len(data))
    assert (header.study_uid, header.series_uid, header.sop_instance_uid) == (STUDY, SERIES, INSTANCE)
    assert header.transfer_syntax_uid == syntax
    assert header.identity.patient_name == "Ünal^Änne"
    assert header.identity.accession_number == "ACC-0815"
    assert header.identity.study_instance_uid == STUDY


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"", "empty", id="empty"),
        pytest.param(b"hello world", "not-dicom", id="text"),
        pytest.param(b"\0" * 1000, "not-dicom", id="zeros"),
        pytest.param(zipped(), "archive", id="zip"),
        pytest.param(gzip.compress(dicom()), "archive", id="gzip"),
        pytest.param(dicom()[:-10], "truncated", id="cut in the pixels"),
        pytest.param(dicom()[:450], "truncated", id="cut in the header"),
        pytest.param(dicom()[:140], "truncated", id="cut in the file meta information"),
        pytest.param(with_long_element(2**31), "truncated", id="an element claims 2 GB"),
        pytest.param(dicom(drop=["StudyInstanceUID"]), "missing-uid", id="no study"),
        pytest.param(dicom(drop=["SeriesInstanceUID"]), "missing-uid", id="no series"),
        pytest.param(dicom(drop=["SOPInstanceUID"]), "missing-uid", id="no instance"),
        pytest.param(dicom(changes={"StudyInstanceUID": ""}), "missing-uid", id="empty study"),
        pytest.param(dicom(changes={"SOPInstanceUID": "../../etc/passwd"}), "invalid-uid", id="path"),
        pytest.param(dicom(changes={"StudyInstanceUID": "1.2/3"}), "invalid-uid", id="slash"),
        pytest.param(dicom(changes={"SeriesInstanceUID": "1." * 40 + "1"}), "invalid-uid", id="too long"),
        pytest.param(dicom(changes={"SeriesInstanceUID": "1..2"}), "invalid-uid", id="empty component"),
        pytest.param(dicom(changes={"SOPInstanceUID": "1.\xb2"}), "invalid-uid", id="beyond ASCII"),
        pytest.param(
            dicom(syntax=DeflatedExplicitVRLittleEndian)[:-60], "truncated", id="cut while deflated"
        ),
    ],
)
def test_what_cannot_be_taken_in_is_refused_with_its_class(data, reason):
    with pytest.raises(MalformedError) as caught:
        read_header(data, len(data))
    assert caught.value.reason == reason


def test_a_file_without_transfer_syntax_is_refused():
    data = dicom().replace(b"\x02\x00\x10\x00UI", b"\x02\x00\x11\x00UI")
    with pytest.raises(MalformedError) as caught:
        read_header(data, len(data))
    assert caught.value.reason == "missing-transfer-syntax"


@pytest.mark.parametrize(
    ("name", "asks"), [("ReferencedImageSequence", True), ("SharedFunctionalGroupsSequence", False)]
)
def test_a_sequence_of_undefined_length_cut_by_the_head_is_read_only_if_an_id_stands_after_it(name, asks):
    item = Dataset()
    item.SeriesDescription = "x" * 60
    whole = pydicom.dcmread(io.BytesIO(dicom(STUDY, changes={name: [item] * 50})))
    whole[name].is_undefined_length = True
    whole[name].value.is_undefined_length = True
    data = saved(whole)
    with pytest.raises(NeedMoreError) if asks else contextlib.nullcontext():
        assert read_header(data[:1500], len(data)).study_uid == STUDY
    assert read_header(data, len(data)).study_uid == STUDY


def test_a_directory_of_a_medium_is_refused_as_such():
    data = dicom().replace(b"1.2.840.10008.5.1.4.1.1.1\0", b"1.2.840.10008.1.3.10\0\0\0\0\0\0", 1)
    with pytest.raises(MalformedError) as caught:
        read_header(data, len(data))
    assert caught.value.reason == "dicomdir"


def test_pixels_need_not_be_in_the_head():
    data = dicom(side=512)
    head = data[:2000]
    assert read_header(head, len(data)).sop_class_uid == "1.2.840.10008.5.1.4.1.1.1"


def test_pixels_that_were_cut_off_are_found_without_reading_them():
    data = dicom(side=512)
    with pytest.raises(MalformedError) as caught:
        read_header(data[:2000], len(data) - 1)
    assert caught.value.reason == "truncated"


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_a_header_longer_than_the_head_asks_for_more_until_it_is_read(syntax):
    item = Dataset()
    item.SeriesDescription = "x" * 60
    # both sequences stand before the UIDs of study and series
    data = dicom(STUDY, syntax=syntax, changes={"ReferencedImageSequence": Sequence([item] * 200)})
    asked = [300]
    header = None
    while header is None:
        try:
            header = read_header(data[: asked[-1]], len(data))
        except NeedMoreError as error:
            asked.append(error.size)
    assert header.study_uid == STUDY
    assert len(asked) > 1
    assert asked == sorted(set(asked))


@pytest.mark.parametrize(
    ("value", "expected"),
    [("STAT", "stat"), ("HIGH", "stat"), ("ROUTINE", "routine"), ("MEDIUM", "routine"), ("LOW", "routine"),
     ("", ""), ("SOON", "")],
)  # fmt: skip
@pytest.mark.parametrize("nested", [False, True])
def test_the_ordered_priority_is_read_where_the_standard_puts_it(value, expected, nested):
    item = Dataset()
    item.RequestedProcedurePriority = value
    element = ("RequestAttributesSequence", [item]) if nested else ("RequestedProcedurePriority", value)
    data = dicom(changes=dict([element]))
    assert read_header(data, len(data)).requested_priority == expected


def test_a_deflated_bomb_is_read_to_a_bound_only():
    data = dicom(STUDY, side=4096, syntax=DeflatedExplicitVRLittleEndian)
    assert read_header(data, len(data)).study_uid == STUDY


def test_nothing_of_a_file_is_shown_by_a_header_or_an_error():
    data = dicom(patient="Planted^Name")
    header = read_header(data, len(data))
    assert "Planted" not in repr(header) + repr(header.identity)
    bad = dicom(changes={"SOPInstanceUID": "Planted^Name"})
    with pytest.raises(MalformedError) as caught:
        read_header(bad, len(bad))
    assert "Planted" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:Unknown encoding")
def test_invalid_values_are_no_reason_to_refuse():
    data = dicom(
        STUDY,
        changes={"PatientBirthDate": "when", "SpecificCharacterSet": "odd", "AccessionNumber": "P" * 99},
    )
    header = read_header(data, len(data))
    assert header.study_uid == STUDY
    assert header.identity.patient_birth_date == "when"


@settings(deadline=None, max_examples=300)
@given(at=st.integers(132, 800), change=st.binary(min_size=1, max_size=8))
def test_damaged_bytes_give_a_header_or_a_class_of_failure_never_another_error(at, change):
    data = bytearray(WHOLE)
    data[at : at + len(change)] = change
    with contextlib.suppress(MalformedError, NeedMoreError):
        read_header(bytes(data), len(data))


@settings(deadline=None, max_examples=300)
@given(size=st.integers(0, 800))
def test_every_truncation_is_found_or_leaves_whole_elements(size):
    data = WHOLE[:size]
    try:
        header = read_header(data, len(data))
    except MalformedError:
        return
    assert header.study_uid == STUDY
