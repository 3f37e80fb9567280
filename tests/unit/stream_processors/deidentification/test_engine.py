from __future__ import annotations

import hashlib
import logging
import pickle
import zlib
from collections import Counter
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from schemas.identifiers import PseudonymKey, Pseudonyms, site_key
from stream_processors.deidentification import REASONS, Profile, RefusedError, deidentify, part10
from tests.support.dicoms import (
    CT_IMAGE,
    Options,
    ct_slice,
    dx_chest,
    identity_of,
    mr_slice,
    secondary_capture,
    to_bytes,
    ultrasound,
)

MASTER = PseudonymKey("epoch-1", hashlib.sha256(b"a test master").digest())
NAMES = Pseudonyms(site_key(MASTER, "north"))
SAMPLES = Path(__file__).parents[4].parent / "shared" / "dicom-samples"
KINDS = (
    "charset",
    "ct",
    "cxr",
    "malformed",
    "mr",
    "multiframe",
    "other",
    "sc",
    "sr",
    "transfer-syntax",
    "us",
)
MOST_BYTES = 600_000
FULL = Options(private=True, nested=True)


def read(data: bytes) -> FileDataset:
    return pydicom.dcmread(BytesIO(data))


def clean(source: FileDataset) -> FileDataset:
    return read(deidentify(to_bytes(source), NAMES).data)


@pytest.mark.parametrize("build", [ct_slice, dx_chest, mr_slice])
def test_no_identity_survives_and_pixels_do(build) -> None:
    source = build("a", FULL)
    done = deidentify(to_bytes(source), NAMES)
    for value in (*identity_of(source), "ZQ"):
        assert value.encode() not in done.data
    assert read(done.data).PixelData == source.PixelData
    assert done.pixels_at_risk is None


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_each_native_transfer_syntax_stays_and_its_pixels_are_equal(syntax: str) -> None:
    source = ct_slice("a", Options(private=True, nested=True, transfer_syntax=str(syntax)))
    done = deidentify(to_bytes(source), NAMES)
    assert done.context.transfer_syntax_uid == syntax == read(done.data).file_meta.TransferSyntaxUID
    assert read(done.data).PixelData == source.PixelData
    assert b"ZQ" not in done.data


def test_a_deflated_file_leaves_as_explicit_little_endian() -> None:
    source = ct_slice("a", Options(transfer_syntax=str(DeflatedExplicitVRLittleEndian)))
    done = deidentify(to_bytes(source), NAMES)
    assert done.context.transfer_syntax_uid == "1.2.840.10008.1.2.1"
    assert read(done.data).PixelData == source.PixelData


def test_same_file_and_key_give_the_same_bytes_and_another_site_gives_others() -> None:
    raw = to_bytes(ct_slice("a", FULL))
    other = Pseudonyms(site_key(MASTER, "south"))
    assert deidentify(raw, NAMES).data == deidentify(raw, NAMES).data
    assert (
        read(deidentify(raw, other).data).StudyInstanceUID
        != read(deidentify(raw, NAMES).data).StudyInstanceUID
    )


def test_references_between_files_stay_whole() -> None:
    first, second = clean(ct_slice("ct-1", FULL)), clean(ct_slice("ct-2", FULL))
    assert second.ReferencedImageSequence[0].ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert second.ReferencedImageSequence[0].ReferencedSOPClassUID == first.SOPClassUID
    assert first.StudyInstanceUID == second.StudyInstanceUID == NAMES.uid(ct_slice().StudyInstanceUID)
    assert first.file_meta.MediaStorageSOPInstanceUID == first.SOPInstanceUID
    assert first.PatientID == second.PatientID == NAMES.patient_id("", "ZQPID4711")


def test_intervals_between_two_studies_of_a_patient_survive() -> None:
    early = clean(ct_slice("a", Options(study_date="20230405")))
    late = clean(ct_slice("b", Options(study_date="20240301", study="study-2")))
    days = pydicom.valuerep.DA(late.StudyDate) - pydicom.valuerep.DA(early.StudyDate)
    assert days.days == 331
    assert early.StudyDate != "20230405"


def test_patients_without_a_real_id_share_no_pseudonym_and_no_shift() -> None:
    one = clean(ct_slice("a", Options(patient_id="0", study="study-1")))
    two = clean(ct_slice("b", Options(patient_id="0", study="study-2")))
    assert one.PatientID != two.PatientID
    assert one.StudyDate != two.StudyDate


@pytest.mark.parametrize(
    ("age", "expected"),
    [("062Y", "062Y"), ("089Y", "089Y"), ("090Y", "090Y"), ("103Y", "090Y"), ("004M", "004M"), ("old", None)],
)
def test_an_age_over_89_years_is_capped_and_what_is_no_age_goes(age: str, expected: str | None) -> None:
    raw = to_bytes(ct_slice()).replace(b"AS\x04\x00062Y", b"AS\x04\x00" + age.ljust(4).encode())
    assert (read(deidentify(raw, NAMES).data).PatientAge or None) == expected


def test_output_says_what_was_done_and_no_more() -> None:
    output = clean(ct_slice())
    assert output.PatientIdentityRemoved == "YES"
    assert "2024b" in output.DeidentificationMethod
    assert [item.CodeValue for item in output.DeidentificationMethodCodeSequence] == [
        "113100",
        "113105",
        "113107",
        "113108",
    ]
    assert output.LongitudinalTemporalInformationModified == "MODIFIED"
    basic = read(deidentify(to_bytes(ct_slice()), NAMES, Profile(frozenset())).data)
    assert [item.CodeValue for item in basic.DeidentificationMethodCodeSequence] == ["113100"]
    assert "PatientAge" not in basic


def earlier_step(code: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, "DCM", "Earlier step"
    return item


@pytest.mark.parametrize(
    ("codes", "kept"),
    [
        (["113100"], ["113100"]),
        (["113105", "113107"], ["113105", "113107"]),
        (["113100", "113101"], ["113100"]),
    ],
    ids=["done again", "two done again", "one claims what was not done here"],
)
@pytest.mark.parametrize("undefined", [False, True], ids=["defined length", "undefined length"])
def test_an_earlier_claim_stays_only_where_it_is_true_of_the_output(
    codes: list[str], kept: list[str], undefined: bool
) -> None:
    source = ct_slice()
    source.DeidentificationMethodCodeSequence = Sequence([earlier_step(code) for code in codes])
    for item in source.DeidentificationMethodCodeSequence:
        item.is_undefined_length_sequence_item = undefined
    found = [item.CodeValue for item in clean(source).DeidentificationMethodCodeSequence]
    assert found == [*kept, "113100", "113105", "113107", "113108"]


@pytest.mark.parametrize(
    ("there", "instead"),
    [
        (b"\xfe\xff\x0d\xe0\0\0\0\0", b"\xfe\xff\x0d\xe0\4\0\0\0"),  # a delimiter that has a length
        (b"Earlier step", b"E\xfe\xff\x0d\xe0er step"),  # a text that holds one
        (b"Earlier step", b"E\xfe\xff\x00\xe0er step"),
    ],
    ids=["a delimiter with a length", "a delimiter in a text", "an item in a text"],
)
def test_earlier_claims_that_cannot_be_told_apart_go_or_the_file_does(there: bytes, instead: bytes) -> None:
    source = ct_slice()
    source.DeidentificationMethodCodeSequence = Sequence(
        [earlier_step(code) for code in ("113100", "113101")]
    )
    for item in source.DeidentificationMethodCodeSequence:
        item.is_undefined_length_sequence_item = True
    raw = to_bytes(source)
    assert there in raw
    try:
        output = read(deidentify(raw.replace(there, instead), NAMES).data)
    except RefusedError:
        return
    found = [item.CodeValue for item in output.DeidentificationMethodCodeSequence]
    assert "113101" not in found
    assert found[-4:] == ["113100", "113105", "113107", "113108"]


def test_what_the_source_claims_about_its_de_identification_is_not_believed() -> None:
    claims = {"PatientIdentityRemoved": "YES", "DeidentificationMethod": "by ZQTOOL for ZQFAMILY"}
    output = clean(ct_slice("a", Options(extra=claims)))
    assert "ZQ" not in output.DeidentificationMethod
    assert not output.PatientName


def test_preamble_file_meta_private_overlays_group_lengths_and_trailing_bytes_are_gone() -> None:
    source = ct_slice("a", FULL)
    source.file_meta.PrivateInformationCreatorUID = pydicom.uid.UID("1.2.3")
    source.file_meta.PrivateInformation = b"ZQMETA"
    source.add_new(0x60000022, "LO", "ZQOVERLAY")
    source.add_new(0x60003000, "OW", b"ZQOVERLAYDATA!")
    source.add_new(0x50000022, "LO", "ZQCURVE")
    source.add_new(0x00420010, "ST", "ZQTITLE")
    source.add_new(0x00080000, "UL", 4)
    source.add_new(0x00089999, "LO", "ZQUNKNOWN")
    source.add_new(0xFFFCFFFC, "OB", b"ZQPADDING!")
    done = deidentify(to_bytes(source) + b"ZQTRAILING", NAMES)
    assert b"ZQ" not in done.data
    assert not any(done.data[:128])
    assert not any(element.tag.is_private or element.tag.element == 0 for element in read(done.data))


def test_a_name_in_a_kept_text_empties_that_text() -> None:
    source = ct_slice("a", Options(extra={"ConvolutionKernel": "for zqfamily", "ScanOptions": "HELIX"}))
    output = clean(source)
    assert not output.ConvolutionKernel
    assert output.ScanOptions == "HELIX"


def test_text_hidden_in_a_number_or_under_a_foreign_vr_goes() -> None:
    source = ct_slice()
    source.add_new(0x00280030, "LT", "ZQPIXELSPACING")
    source.add_new(0x00280010, "LO", "ZQROWS")
    raw = to_bytes(source).replace(b"120 ", b"ZQV ")
    output = deidentify(raw, NAMES).data
    assert b"ZQ" not in output


def test_a_number_that_no_converter_takes_stays_as_it_is_coded() -> None:
    raw = to_bytes(ct_slice("a", Options(extra={"ExposureTime": "1500"}))).replace(
        b"IS\x04\x001500", b"IS\x04\x001.50"
    )
    assert b"IS\x04\x001.50" in deidentify(raw, NAMES).data


def test_an_element_whose_wrong_length_swallows_its_neighbours_is_emptied() -> None:
    raw = to_bytes(ct_slice("a", Options(synthetic=False)))
    maker = raw.index(b"\x08\x00\x70\x00LO")
    after_id = raw.index(b"\x10\x00\x30\x00DA")
    swollen = raw[: maker + 6] + (after_id - maker - 8).to_bytes(2, "little") + raw[maker + 8 :]
    assert b"ZQFAMILY" not in deidentify(swollen, NAMES).data


def test_a_class_uid_that_is_not_registered_is_renamed() -> None:
    item = Dataset()
    item.ReferencedSOPClassUID = "1.2.11111111"
    raw = to_bytes(
        ct_slice("a", Options(patient_name="A^B", extra={"ReferencedSeriesSequence": Sequence([item])}))
    )
    assert b"ZQ" not in deidentify(raw.replace(b"1.2.11111111", b"1.2.ZQFAMILY"), NAMES).data
    assert b"1.2.11111111" not in deidentify(raw, NAMES).data


def test_an_object_of_a_private_class_is_refused() -> None:
    raw = to_bytes(ct_slice("a", Options(extra={"SOPClassUID": "1.2.840.113619.4.26"})))
    with pytest.raises(RefusedError) as caught:
        deidentify(raw, NAMES)
    assert caught.value.reason == "unsupported-content"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (ultrasound(), "ultrasound"),
        (secondary_capture(), "secondary-capture"),
        (dx_chest("a", Options(burned_in="YES")), "burned-in-annotation"),
        (dx_chest("a", Options(burned_in="NO", extra={"ConversionType": "DI"})), "secondary-capture"),
        (ultrasound("a", Options(burned_in="NO")), "ultrasound"),
    ],
)
def test_pixels_at_risk_are_left_out_with_the_reason(source: FileDataset, reason: str) -> None:
    done = deidentify(to_bytes(source), NAMES)
    assert done.pixels_at_risk == reason
    assert "PixelData" not in read(done.data)
    assert source.PixelData not in done.data
    assert (done.context.rows, done.context.columns) == (16, 16)


def test_burned_in_no_on_a_radiograph_leaves_its_pixels() -> None:
    assert deidentify(to_bytes(dx_chest("a", Options(burned_in="NO"))), NAMES).pixels_at_risk is None


def _without(keyword: str) -> bytes:
    source = ct_slice()
    delattr(source, keyword)
    return to_bytes(source)


RAW = to_bytes(ct_slice())
CLAIM = RAW.index(b"\xe0\x7f\x10\x00OW\0\0") + 8


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "not-dicom"),
        (b"PK\x03\x04" + bytes(400), "not-dicom"),
        (RAW[:132], "truncated"),
        (RAW[:-1], "truncated"),
        (RAW[:400], "truncated"),
        (RAW[:CLAIM] + b"\xfe\xff\xff\x7f" + RAW[CLAIM + 4 :], "truncated"),
        (RAW.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.9\0"), "unsupported-transfer-syntax"),
        (RAW.replace(b"1.2.840.10008.1.2.1\0", b"1.3.999.10008.1.2.1\0"), "unsupported-transfer-syntax"),
        (RAW.replace(b"CS\x02\x00CT", b"\0\1\x02\x00CT"), "malformed"),
        (_without("SOPClassUID"), "missing-uids"),
        (_without("SOPInstanceUID"), "missing-uids"),
        (RAW.replace(ct_slice().SeriesInstanceUID.encode()[:12], b"../../../etc"), "invalid-uids"),
        (RAW.replace(ct_slice().StudyInstanceUID.encode()[:4], b"2/25"), "invalid-uids"),
        (RAW.replace(CT_IMAGE.encode() + b"\0", b"1.2.840.10008.5.1.4.1.1.66"), "unsupported-content"),
    ],
)
def test_a_file_that_cannot_be_cleaned_is_refused_with_its_reason(raw: bytes, reason: str) -> None:
    with pytest.raises(RefusedError) as refused:
        deidentify(raw, NAMES)
    assert refused.value.reason == str(refused.value) == reason
    assert refused.value.__cause__ is None


def test_a_deflated_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part10, "MAX_INFLATED_BYTES", 1 << 20)
    source = ct_slice("a", Options(transfer_syntax=str(DeflatedExplicitVRLittleEndian)))
    raw = to_bytes(source)
    meta_end = 144 + int.from_bytes(raw[140:144], "little")
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = squeezer.compress(bytes((1 << 20) + 1)) + squeezer.flush()
    with pytest.raises(RefusedError, match="too-large"):
        deidentify(raw[:meta_end] + bomb, NAMES)


def test_deep_nesting_is_refused() -> None:
    source = ct_slice()
    item = Dataset()
    for _ in range(60):
        outer = Dataset()
        outer.ReferencedSeriesSequence = Sequence([item])
        outer["ReferencedSeriesSequence"].is_undefined_length = True
        item = outer
    source.ReferencedSeriesSequence = Sequence([item])
    source["ReferencedSeriesSequence"].is_undefined_length = True
    with pytest.raises(RefusedError, match="too-large"):
        deidentify(to_bytes(source), NAMES)


def test_a_reason_outside_the_vocabulary_cannot_be_raised() -> None:
    assert "truncated" in REASONS
    with pytest.raises(ValueError, match="documented"):
        RefusedError("patient ZQFAMILY")


def test_nothing_of_the_file_is_logged_or_warned(
    caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    raw = to_bytes(ct_slice("a", Options(birth_date="ZQBIRTH", age="ZQ", nested=True)))
    raw = raw.replace(b"ISO_IR 192", b"ZQ_CHARSET")
    recwarn.clear()
    caplog.clear()
    caplog.set_level(logging.DEBUG)
    assert b"ZQ" not in deidentify(raw, NAMES).data
    assert "ZQ" not in caplog.text
    assert not [each for each in recwarn if "ZQ" in str(each.message)]


def test_a_result_crosses_a_process_boundary() -> None:
    done = deidentify(RAW, NAMES)
    assert pickle.loads(pickle.dumps(done)) == done
    with pytest.raises(RefusedError, match="not-dicom"):
        raise pickle.loads(pickle.dumps(RefusedError("not-dicom")))


def test_the_context_is_coded_and_tells_no_one() -> None:
    request = Dataset()
    request.RequestedProcedurePriority = "STAT"
    extra = {"RequestAttributesSequence": Sequence([request]), "ViewPosition": "PA"}
    context = deidentify(to_bytes(dx_chest("a", Options(extra=extra))), NAMES).context
    assert (context.modality, context.body_part, context.view_position) == ("DX", "CHEST", "PA")
    assert (context.age_band, context.patient_sex, context.requested_priority) == ("adult", "F", "stat")
    assert (context.rows, context.columns, context.number_of_frames) == (16, 16, 1)
    assert context.photometric_interpretation == "MONOCHROME2"
    assert context.synthetic
    assert "ZQ" not in repr(context)


def test_values_on_no_list_are_unknown() -> None:
    source = mr_slice("a", Options(sex="ZQ", synthetic=False))
    source.BodyPartExamined = source.PhotometricInterpretation = source.Modality = "ZQ"
    context = deidentify(to_bytes(source), NAMES).context
    assert (context.body_part, context.patient_sex, context.modality) == ("unknown",) * 3
    assert (context.photometric_interpretation, context.requested_priority) == ("", "unknown")
    assert not context.synthetic


@pytest.mark.parametrize(
    ("age", "birth_date", "band"),
    [
        ("", "20150101", "child"),
        ("", "19610203", "adult"),
        ("017Y", "", "child"),
        ("010D", "", "child"),
        ("018Y", "", "adult"),
        ("", "", "unknown"),
        ("062Y", "20150101", "unknown"),
        ("", "20300101", "unknown"),
    ],
)
def test_an_age_band_that_is_missing_or_contradicted_is_unknown(age: str, birth_date: str, band: str) -> None:
    source = ct_slice("a", Options(age=age, birth_date=birth_date))
    assert deidentify(to_bytes(source), NAMES).context.age_band == band


def _real_files() -> list[Path]:
    """The files of pydicom's wheel, and samples beside the repository where there are any."""
    beside = [path for kind in KINDS for path in sorted((SAMPLES / kind).glob("*"))]
    wheel = sorted((Path(pydicom.__file__).parent / "data" / "test_files").glob("*.dcm"))
    return [path for path in (*wheel, *beside) if path.stat().st_size < MOST_BYTES]


@pytest.mark.filterwarnings("ignore:Incorrect value for Specific Character Set")  # the source's own spelling
def test_every_real_file_ends_verified_or_refused_with_a_reason_that_fits() -> None:
    outcomes: Counter[str] = Counter()
    doubted: list[Path] = []
    for path in _real_files():
        try:
            done = deidentify(path.read_bytes(), NAMES)
        except RefusedError as refused:
            outcomes[refused.reason] += 1
            doubted += [path] if refused.reason == "verification-failed" else []
        else:
            outcomes["clean"] += len(read(done.data)) > 5
    assert outcomes["clean"] > 50
    assert [path for path in doubted if path.parent.name != "malformed"] == []


@pytest.mark.parametrize(
    "name", ["PATIENT^BASIC", "Radstream", "MONOCHROME2^CT", "REMOVED^NAME", "ISO_IR 192"]
)
def test_a_patient_named_like_a_mark_or_a_code_is_cleaned_all_the_same(name: str) -> None:
    output = clean(ct_slice("a", Options(patient_name=name)))
    assert not output.PatientName
    assert (output.Modality, output.PhotometricInterpretation) == ("CT", "MONOCHROME2")


@pytest.mark.parametrize(
    ("keyword", "listed"),
    [("BodyPartExamined", "CHEST"), ("ViewPosition", "PA"), ("RequestedProcedurePriority", "STAT")],
)
def test_what_is_typed_in_place_of_a_code_goes(keyword: str, listed: str) -> None:
    def cleaned(value: str) -> object:
        data_set = ct_slice("a")
        setattr(data_set, keyword, value)
        return pydicom.dcmread(BytesIO(deidentify(to_bytes(data_set), NAMES).data))[keyword].value

    assert cleaned(listed) == listed
    assert not cleaned("MISS MARPLE")


def test_what_stands_behind_the_pixels_is_blanked_and_the_pixels_stay() -> None:
    data_set = ct_slice("a")
    pixels = data_set.PixelData
    data_set.PixelData = pixels + b"ZQFAMILY"
    clean = pydicom.dcmread(BytesIO(deidentify(to_bytes(data_set), NAMES).data))
    assert clean.PixelData == pixels + bytes(8)
