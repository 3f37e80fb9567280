"""Planted identity in other hosts, charsets and syntaxes: nothing of it may be anywhere in the output's bytes."""

from __future__ import annotations

import hashlib
from io import BytesIO

import pydicom
import pytest
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from schemas.identifiers import PseudonymKey, Pseudonyms
from stream_processors.deidentification import DEFAULT, Profile, deidentify
from tests.support.dicoms import Options, ct_slice, structured_report, to_bytes

NAMES = Pseudonyms(PseudonymKey("epoch-1", hashlib.sha256(b"a test master").digest()))
STRUCTURED = Profile(DEFAULT.options | {"113103", "113104"})
SYNTAXES = [
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
]


def code(value: str, meaning: str) -> Sequence:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return Sequence([item])


def content(kind: str, **values: object) -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType = "CONTAINS", kind
    item.ConceptNameCodeSequence = code("121071", "Finding")
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def report() -> FileDataset:
    made = structured_report()
    inner = content("TEXT", TextValue="Nodule in left lung, told to ZQDOCTOR on 04.05.2023, tel. 030 1234567")
    made.ContentSequence = Sequence(
        [
            content("PNAME", PersonName="ZQOBSERVER^ONE"),
            content("DATE", Date="20230405"),
            content("UIDREF", UID="1.2.826.0.1.3680043.9.7777.9"),
            content("CONTAINER", ContentSequence=Sequence([inner])),
            content("CODE", ConceptCodeSequence=code("1", "ZQMEANING")),
        ]
    )
    return made


def document() -> FileDataset:
    made = ct_slice()
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = pydicom.uid.UID(
        "1.2.840.10008.5.1.4.1.1.104.1"
    )
    made.Modality, made.MIMETypeOfEncapsulatedDocument = "DOC", "application/pdf"
    made.EncapsulatedDocument, made.DocumentTitle = b"%PDF-1.4 ZQPDF ", "Report of ZQTITLE"
    return made


def structure_set() -> FileDataset:
    made = ct_slice()
    roi = Dataset()
    roi.ROIName, roi.ROIDescription, roi.ROINumber = "Lung left ZQROI", "drawn by ZQPHYSICIST", 1
    made.StructureSetLabel, made.StructureSetROISequence = "ZQSET", Sequence([roi])
    return made


def presentation() -> FileDataset:
    made = ct_slice()
    text = Dataset()
    text.UnformattedTextValue = "Prof. Zqfamily: nodule 3 mm"
    graphic = Dataset()
    graphic.TextObjectSequence, graphic.GraphicLayer = Sequence([text]), "ZQLAYER"
    made.GraphicAnnotationSequence = Sequence([graphic])
    made.ContentCreatorName, made.ContentDescription = "ZQCREATOR", "for ZQPURPOSE"
    return made


def waveform() -> FileDataset:
    made = ct_slice()
    annotation, group = Dataset(), Dataset()
    annotation.UnformattedTextValue = "ECG of ZQFAMILY"
    group.MultiplexGroupLabel = "ZQGROUP"
    group.add_new(0x54001010, "OW", b"\0\1\2\3")
    made.WaveformAnnotationSequence, made.WaveformSequence = Sequence([annotation]), Sequence([group])
    return made


def described() -> FileDataset:
    made = ct_slice("a", Options(private=True, nested=True, synthetic=False))
    made.Manufacturer, made.ImageType = "ACME for ZQBUYER", ["ORIGINAL", "PRIMARY", "ZQVALUE"]
    made.StudyDescription = "CT Chest ZqFamily ZQ4711X"
    made.ProtocolName, made.DerivationDescription = "Dr. Zqsomebody thorax", "mail zq@zq.example"
    made.Allergies, made.EthnicGroup, made.PatientState = "Latex, says ZQNURSE", "ZQPEOPLE", "stable ZQSTATE"
    made.AdditionalPatientHistory = "Pneumonia 2021, MRN 00471100, Zqfamily family"
    icon = Dataset()
    icon.add_new(0x7FE00010, "OW", b"ZQICON")
    made.IconImageSequence = Sequence([icon])
    return made


HOSTS = {
    "a report": report, "a document": document, "a structure set": structure_set, "a presentation": presentation,
    "a waveform": waveform, "descriptions": described,
}  # fmt: skip


@pytest.mark.parametrize(
    "profile", [DEFAULT, STRUCTURED, Profile(frozenset({"113107"})), Profile(frozenset())]
)
@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("host", HOSTS)
def test_nothing_planted_in_any_host_survives(host: str, syntax: str, profile: Profile) -> None:
    source = HOSTS[host]()
    source.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    data = deidentify(to_bytes(source), NAMES, profile).data
    for planted in (b"ZQ", b"Zq", b"zq@", b"20230405", b"04.05.2023", b"1234567", b"00471100", b"7777.9"):
        assert planted not in data
    assert len(pydicom.dcmread(BytesIO(data))) > 10


def test_clean_descriptors_keep_what_is_of_radiology() -> None:
    output = pydicom.dcmread(BytesIO(deidentify(to_bytes(described()), NAMES).data))
    assert output.StudyDescription == "CT Chest"
    assert output.ProtocolName == "thorax"
    assert output.Allergies == "Latex,"
    assert output.PatientState == "stable"
    assert output.AdditionalPatientHistory == "Pneumonia 2021, family"
    assert output.ImageType[:2] == ["ORIGINAL", "PRIMARY"]


def test_a_structured_report_keeps_its_tree_when_its_option_is_on_and_loses_it_without() -> None:
    kept = pydicom.dcmread(BytesIO(deidentify(to_bytes(report()), NAMES, STRUCTURED).data))
    assert [item.ValueType for item in kept.ContentSequence] == [
        "PNAME",
        "DATE",
        "UIDREF",
        "CONTAINER",
        "CODE",
    ]
    assert kept.ContentSequence[3].ContentSequence[0].TextValue.startswith("Nodule in left lung,")
    assert kept.ContentSequence[0].ConceptNameCodeSequence[0].CodeMeaning == "Finding"
    assert kept.ContentSequence[1].Date == kept.StudyDate
    bare = pydicom.dcmread(BytesIO(deidentify(to_bytes(report()), NAMES).data))
    assert list(bare.ContentSequence) == [Dataset()]


@pytest.mark.parametrize(
    ("charset", "name", "needles"),
    [
        (["", "ISO 2022 IR 87"], "Zqyamada^Tarou=\u5c71\u7530^\u592a\u90ce", [b"Zqyamada", b";3ED"]),
        (["", "ISO 2022 IR 149"], "Zqhong^Gildong=\u6d2a^\u5409\u6d1e", [b"Zqhong", b"\xfb\xf3"]),
        ("GB18030", "Zqwang^XiaoDong=\u738b^\u5c0f\u4e1c", [b"Zqwang", b"\xcd\xf5"]),
        ("ISO_IR 192", "\u0417\u043a\u0443=\u738b", ["\u0417\u043a\u0443".encode(), "\u738b".encode()]),
        ("ISO_IR 100", "Zqm\u00fcller^J\u00f6rg", [b"Zqm", b"J\xf6rg"]),
    ],
)
def test_a_name_in_any_character_set_goes_wherever_it_stands(
    charset: object, name: str, needles: list[bytes]
) -> None:
    source = ct_slice("a", Options(synthetic=False))
    source.SpecificCharacterSet, source.PatientName = charset, name
    source.OperatorsName = name
    source.StudyDescription = source.Manufacturer = source.PatientComments = name.replace("^", " ").replace(
        "=", " "
    )
    data = deidentify(to_bytes(source), NAMES).data
    header = data[: data.index(b"\xe0\x7f\x10\x00")]
    assert [needle for needle in needles if needle in header] == []


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.replace(b"YES ", b"YES\0", 1),
        lambda data: data + b"\0\0",
        lambda data: data.replace(b"RADSTREAM", b"RADSTREEM"),
    ],
)
def test_what_merely_looks_like_our_output_is_processed_like_any_other(change) -> None:
    own = deidentify(to_bytes(ct_slice()), NAMES).data
    changed = change(own)
    assert changed != own
    assert not deidentify(changed, NAMES).report.own_output


def test_output_under_another_key_or_profile_is_not_taken_for_ours() -> None:
    own = deidentify(to_bytes(ct_slice()), NAMES).data
    other = Pseudonyms(PseudonymKey("epoch-1", hashlib.sha256(b"another").digest()))
    assert deidentify(own, NAMES).report.own_output
    assert not deidentify(own, other).report.own_output
    assert not deidentify(own, NAMES, Profile(frozenset({"113107"}))).report.own_output
