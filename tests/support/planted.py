"""DICOM files full of tokens: every place of a file that may identify somebody holds a word, UID or date of its own."""

from __future__ import annotations

import io
import random
import secrets
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset, FileDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, JPEGBaseline8Bit

from inference.training.phantoms import SyntheticIdentity, generate, to_dicom
from tests.support import dicoms
from tests.support.leaks import Tokens

DATES = ("19310203", "19440506", "19570708", "19700910", "19831112", "19961213", "20090104")
"""Thirteen years apart: de-identified dates lie up to ten years before the original, and must not meet another planted one."""
BORN, NESTED, PRIVATE, SCHEDULED, FAILING, WRITTEN, STUDIED = DATES
TIME = "031415.926535"
CRITICAL_SEED = 910_005
"""A phantom with a finding that pages somebody (the demonstration sends it, too)."""
PIXEL_DATA = 0x7FE00010
BURNED_IN = "DOE^JANE 4711-0815"
"""What stands in the ultrasound's pixels: the same in every run, so that what is found there is, too."""


class Planted:
    """The tokens of one run. The same label gives the same word."""

    def __init__(self) -> None:
        choice = random.SystemRandom()
        self.letters = "ZQ" + "".join(choice.choices("BCDFGHJKLMNPRSTVWX", k=6))
        self.digits = str(secrets.randbelow(9 * 10**17) + 10**17)
        self.words: dict[str, str] = {}
        self.uids: dict[str, str] = {}
        self.files: list[bytes] = []

    def word(self, label: str) -> str:
        """A word of eleven letters, which fits every value representation of text."""
        if label not in self.words:
            number = len(self.words)
            last = "".join(chr(65 + number // 26**place % 26) for place in range(3))
            self.words[label] = self.letters + last
        return self.words[label]

    def uid(self, label: str) -> str:
        """A UID (PS3.5 §B.2)."""
        return self.uids.setdefault(label, f"2.25.{self.digits}{len(self.uids):06d}")

    def sent(self, data: bytes) -> bytes:
        """Note a file that is sent."""
        self.files.append(data)
        return data

    def tokens(self) -> Tokens:
        """What to look for."""
        whole = [*map(str.encode, (*self.words.values(), *self.uids.values())), *self.files]
        return Tokens(self.letters, self.digits, DATES, TIME, frozenset(whole))


@dataclass(frozen=True)
class PlantedStudy:
    """Instances of one study with its StudyInstanceUID."""

    name: str
    study_uid: str
    files: tuple[bytes, ...]


def studies(planted: Planted) -> list[PlantedStudy]:
    """Studies of the happy path, and those that de-identification refuses or keeps from inference."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # values bend the standard on purpose, and pydicom says so
        return list(_studies(planted))


def _studies(planted: Planted) -> Iterator[PlantedStudy]:
    makers: dict[str, list[FileDataset]] = {
        "ct": [dicoms.ct_slice(f"ct-{number}", number=number) for number in (1, 2, 3)],
        "xray": [_critical_xray()],
        "us": [_burned_in()],
        "mr": [dicoms.mr_slice()],
        "sr": [dicoms.structured_report()],
        "sc": [dicoms.secondary_capture()],
        "deflated": [dicoms.ct_slice("deflated")],
        "jpeg": [_jpeg(planted)],
        "class": [dicoms.mr_slice("own-class")],
    }
    for kind, instances in makers.items():
        for number, data_set in enumerate(instances):
            plant(planted, kind, number, data_set)
        if kind == "deflated":
            instances[0].file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        if kind == "class":
            own = UID(planted.uid("a class of one device"))
            instances[0].SOPClassUID = instances[0].file_meta.MediaStorageSOPClassUID = own
        written = tuple(planted.sent(dicoms.to_bytes(each)) for each in instances)
        yield PlantedStudy(kind, planted.uid(f"{kind} study"), written)


def _critical_xray() -> FileDataset:
    identity = SyntheticIdentity(
        patient_name="", patient_id="", accession_number="", birth_date=BORN, sex="F",
        taken_at=datetime.strptime(STUDIED, "%Y%m%d").replace(tzinfo=UTC), priority="STAT",
    )  # fmt: skip
    phantom = generate(CRITICAL_SEED, findings=frozenset({"pneumothorax", "effusion"}))
    return pydicom.dcmread(io.BytesIO(to_dicom(phantom, identity)))


def letters_in_pixels() -> NDArray[np.bool_]:
    """Where the ultrasound's text stands: (rows, columns)."""
    drawn = Image.new("1", (320, 160))
    ImageDraw.Draw(drawn).text((16, 20), BURNED_IN, fill=1, font=ImageFont.load_default(size=24))
    return np.asarray(drawn).copy()


def _burned_in() -> FileDataset:
    data_set, letters = dicoms.ultrasound(), letters_in_pixels()
    rows, columns = letters.shape
    speckle = np.random.default_rng(7).integers(10, 60, letters.shape)
    data_set.Rows, data_set.Columns = rows, columns
    data_set.PixelData = np.where(letters, 230, speckle).astype(np.uint8).tobytes()
    return data_set


def _jpeg(planted: Planted) -> FileDataset:
    """A JPEG image whose own header has comments and application data: bytes that are pixels to everybody else."""
    picture = io.BytesIO()
    grey = Image.effect_noise((16, 16), 20)
    exif = Image.Exif()
    exif[0x010E] = planted.word("jpeg image description")
    grey.save(picture, "JPEG", comment=planted.word("jpeg comment"), exif=exif)
    data_set = dicoms.ct_slice("jpeg")
    data_set.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    data_set.BitsAllocated = data_set.BitsStored = 8
    data_set.HighBit, data_set.PixelRepresentation = 7, 0
    data_set.add_new(PIXEL_DATA, "OB", encapsulate([picture.getvalue()]))
    data_set[PIXEL_DATA].is_undefined_length = True
    return data_set


def plant(planted: Planted, kind: str, number: int, data_set: FileDataset) -> None:
    """Put tokens of a study into every place of an instance."""

    def word(label: str) -> str:
        return planted.word(f"{kind} {label}")

    _patient(data_set, word)
    data_set.StudyInstanceUID = planted.uid(f"{kind} study")
    data_set.SeriesInstanceUID = planted.uid(f"{kind} series")
    data_set.SOPInstanceUID = planted.uid(f"{kind} instance {number}")
    data_set.file_meta.MediaStorageSOPInstanceUID = data_set.SOPInstanceUID
    data_set.FrameOfReferenceUID = planted.uid(f"{kind} frame of reference")
    data_set.DeviceUID = planted.uid(f"{kind} device")
    data_set.StudyDate = data_set.SeriesDate = data_set.AcquisitionDate = data_set.ContentDate = STUDIED
    data_set.StudyTime = data_set.SeriesTime = data_set.AcquisitionTime = data_set.ContentTime = TIME
    data_set.AcquisitionDateTime = f"{STUDIED}{TIME}+0000"
    data_set.ScheduledProcedureStepStartDate = SCHEDULED
    data_set.InstanceCreationDate, data_set.InstanceCreationTime = WRITTEN, TIME
    if kind == "us":
        data_set.BodyPartExamined, data_set.ViewPosition = word("body part"), word("view")
        data_set.RequestedProcedurePriority, data_set.Modality = word("priority"), word("modality")
    _nested(planted, data_set, kind)
    _private(planted, data_set, kind)
    _beside_the_data_set(planted, data_set, kind)


def _patient(data_set: Dataset, word: Any) -> None:
    data_set.SpecificCharacterSet = "ISO_IR 192"
    data_set.PatientName = f"{word('family')}^{word('given')}Ä={word('ideographic')}^Ö"
    data_set.PatientID, data_set.IssuerOfPatientID = word("patient id"), word("issuer")
    data_set.PatientBirthDate, data_set.PatientBirthTime = BORN, TIME
    data_set.OtherPatientIDs = [word("other id"), word("yet another id")]
    data_set.AccessionNumber, data_set.StudyID = word("accession number"), word("study id")
    texts = (
        "OtherPatientNames PatientBirthName PatientMotherBirthName PatientAddress PatientTelephoneNumbers "
        "MedicalRecordLocator MilitaryRank Occupation AdditionalPatientHistory PatientComments "
        "ReferringPhysicianName ReferringPhysicianAddress PerformingPhysicianName NameOfPhysiciansReadingStudy "
        "OperatorsName InstitutionName InstitutionAddress InstitutionalDepartmentName StationName "
        "StudyDescription SeriesDescription ProtocolName ImageComments DeviceSerialNumber AdmissionID "
        "RequestingPhysician RequestedProcedureDescription PerformedProcedureStepDescription "
        "DerivationDescription ContrastBolusAgent AcquisitionComments PatientReligiousPreference DetectorID"
    )
    data_set.SoftwareVersions = (
        f"1.2 for {word('family')}"  # the table leaves it: it is about the device, not the patient
    )
    for keyword in texts.split():
        setattr(data_set, keyword, word(keyword))


def _nested(planted: Planted, data_set: Dataset, kind: str) -> None:
    code, inner, person, request = Dataset(), Dataset(), Dataset(), Dataset()
    code.CodeValue, code.CodingSchemeDesignator = planted.word(f"{kind} code"), "99PLANTED"
    code.CodeMeaning = planted.word(f"{kind} code meaning")
    person.PersonIdentificationCodeSequence = Sequence([code])
    person.InstitutionName = planted.word(f"{kind} nested institution")
    inner.ReferencedSOPClassUID = planted.uid("a class of one device")
    inner.ReferencedSOPInstanceUID = planted.uid(f"{kind} referenced instance")
    inner.PatientName = planted.word(f"{kind} nested name")
    inner.ContentDate, inner.DateTime = NESTED, f"{NESTED}{TIME}"
    request.AccessionNumber = planted.word(f"{kind} nested accession")
    request.RequestedProcedureDescription = planted.word(f"{kind} nested description")
    request.ReferencedStudySequence = Sequence([inner])
    request.ScheduledProcedureStepStartDate = NESTED
    data_set.RequestAttributesSequence = Sequence([request])
    data_set.ReferencedImageSequence = Sequence([inner])
    data_set.ReferringPhysicianIdentificationSequence = Sequence([person])
    if "ContentSequence" not in data_set:
        item = Dataset()
        item.ValueType, item.TextValue = "TEXT", planted.word(f"{kind} content text")
        item.ConceptNameCodeSequence = Sequence([code])
        data_set.ContentSequence = Sequence([item])


def _private(planted: Planted, data_set: Dataset, kind: str) -> None:
    block = data_set.private_block(0x0029, f"{planted.word(f'{kind} creator')} 1", create=True)
    block.add_new(0x10, "LO", planted.word(f"{kind} private text"))
    block.add_new(0x11, "DA", PRIVATE)
    block.add_new(0x12, "UN", planted.word(f"{kind} private bytes").encode("utf-16-le"))
    hidden = Dataset()
    hidden.PatientName = planted.word(f"{kind} name in a private sequence")
    block.add_new(0x13, "SQ", Sequence([hidden]))


def _beside_the_data_set(planted: Planted, data_set: FileDataset, kind: str) -> None:
    meta = data_set.file_meta
    meta.SourceApplicationEntityTitle = planted.word(f"{kind} application entity")
    meta.ImplementationVersionName = planted.word(f"{kind} implementation")
    meta.PrivateInformationCreatorUID = UID(planted.uid(f"{kind} private information"))
    meta.PrivateInformation = planted.word(f"{kind} private information").encode()
    data_set.preamble = planted.word(f"{kind} preamble").encode().ljust(128, b"\0")
    data_set.add_new(0x60000010, "US", 8)
    data_set.add_new(0x60000011, "US", 8)
    data_set.add_new(0x60000022, "LO", planted.word(f"{kind} overlay"))
    data_set.add_new(0x60003000, "OW", planted.word(f"{kind} overlay bits").encode())
    data_set.add_new(0x50000022, "LO", planted.word(f"{kind} curve"))
    data_set.add_new(0xFFFCFFFC, "OB", planted.word(f"{kind} trailing padding").encode())


def failing(planted: Planted) -> dict[str, bytes]:
    """Files that the gateway or de-identification refuses, by the reason in words."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as above
        return {reason: planted.sent(data) for reason, data in _failing(planted).items()}


def _failing(planted: Planted) -> dict[str, bytes]:
    def made(kind: str, **changes: Any) -> FileDataset:
        data_set = dicoms.ct_slice(kind)
        plant(planted, kind, 0, data_set)
        data_set.StudyDate = data_set.ContentDate = FAILING
        for keyword, value in changes.items():
            setattr(data_set, keyword, value)
        return data_set

    whole = dicoms.to_bytes(made("truncated"))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr(f"{planted.word('zip entry')}.dcm", whole)
    bad_header = bytearray(dicoms.to_bytes(made("invalid-header")))
    name = planted.word("invalid-header family").encode()
    at = bad_header.index(name)
    bad_header[at - 4 : at - 2] = b"??"  # no value representation (PS3.5 §6.2)
    return {
        "truncated": whole[: len(whole) - 300],
        "truncated in a name": whole[: whole.index(planted.word("truncated family").encode()) + 4],
        "no study": dicoms.to_bytes(made("no-study", StudyInstanceUID="")),
        "path as a UID": dicoms.to_bytes(made("path", SeriesInstanceUID=f"../../{planted.word('path')}")),
        "invalid header": bytes(bad_header),
        "not DICOM": planted.word("a text file").encode() * 100,
        "archive": archive.getvalue(),
        "unknown character set": dicoms.to_bytes(made("charset")).replace(b"ISO_IR 192", b"ZQ_IR_NONE"),
        "long header": dicoms.to_bytes(made("long", PatientComments=planted.word("long comment") * 30_000)),
    }
