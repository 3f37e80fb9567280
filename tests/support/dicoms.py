"""Builders of synthetic DICOM objects: small, valid, with an identity that tests can look for.

Every UID comes from the seed. Objects of one `study` seed share study, series and frame of reference, and
differ by `seed`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from stream_processors.deidentification import SYNTHETIC_MANUFACTURER

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
DX_IMAGE = "1.2.840.10008.5.1.4.1.1.1.1"
MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
US_IMAGE = "1.2.840.10008.5.1.4.1.1.6.1"
SC_IMAGE = "1.2.840.10008.5.1.4.1.1.7"
BASIC_TEXT_SR = "1.2.840.10008.5.1.4.1.1.88.11"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Who and what an object is about."""

    patient_id: str = "ZQPID4711"
    patient_name: str = "ZQFAMILY^ZQGIVEN"
    birth_date: str = "19610203"
    age: str = "062Y"
    sex: str = "F"
    accession: str = "ZQACC0815"
    study_date: str = "20230405"
    study: str = "study-1"
    private: bool = False
    nested: bool = False
    burned_in: str = ""
    synthetic: bool = True
    transfer_syntax: str = str(ExplicitVRLittleEndian)
    extra: Mapping[str, Any] = field(default_factory=dict)


DEFAULT = Options()


def uid(seed: str) -> str:
    """Give a UID of its own for each seed (PS3.5 §B.2)."""
    return f"2.25.{int.from_bytes(hashlib.sha256(seed.encode()).digest()[:16], 'big')}"


def ct_slice(seed: str = "ct-1", options: Options = DEFAULT, *, number: int = 1) -> FileDataset:
    """A 16 x 16 axial slice, signed 16 bit, Hounsfield units through RescaleIntercept."""
    data_set = _object(CT_IMAGE, "CT", seed, options)
    data_set.BodyPartExamined = "CHEST"
    data_set.InstanceNumber = number
    data_set.SliceThickness, data_set.KVP = "2.5", "120"
    data_set.ImagePositionPatient, data_set.PixelSpacing = [0, 0, 2.5 * number], [0.7, 0.7]
    data_set.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    data_set.RescaleIntercept, data_set.RescaleSlope = "-1024", "1"
    return _with_pixels(data_set, _noise(seed, np.int16), signed=True)


def dx_chest(seed: str = "dx-1", options: Options = DEFAULT, *, view: str = "PA") -> FileDataset:
    """A 16 x 16 chest radiograph for presentation, unsigned 16 bit."""
    data_set = _object(DX_IMAGE, "DX", seed, options)
    data_set.BodyPartExamined, data_set.ViewPosition = "CHEST", view
    data_set.PresentationIntentType = "FOR PRESENTATION"
    data_set.PixelSpacing = [0.2, 0.2]
    return _with_pixels(data_set, _noise(seed, np.uint16))


def mr_slice(seed: str = "mr-1", options: Options = DEFAULT) -> FileDataset:
    """A 16 x 16 head slice."""
    data_set = _object(MR_IMAGE, "MR", seed, options)
    data_set.BodyPartExamined = "HEAD"
    return _with_pixels(data_set, _noise(seed, np.uint16))


def ultrasound(seed: str = "us-1", options: Options = DEFAULT) -> FileDataset:
    """A 16 x 16 ultrasound image: always at risk of text in its pixels."""
    return _with_pixels(_object(US_IMAGE, "US", seed, options), _noise(seed, np.uint8))


def secondary_capture(seed: str = "sc-1", options: Options = DEFAULT) -> FileDataset:
    """A 16 x 16 screen capture: always at risk of text in its pixels."""
    data_set = _object(SC_IMAGE, "OT", seed, options)
    data_set.ConversionType = "WSD"
    return _with_pixels(data_set, _noise(seed, np.uint8))


def structured_report(seed: str = "sr-1", options: Options = DEFAULT) -> FileDataset:
    """A Basic Text SR whose text names the patient: content that is refused."""
    data_set = _object(BASIC_TEXT_SR, "SR", seed, options)
    text = Dataset()
    text.ValueType, text.TextValue = "TEXT", f"Seen in {options.patient_name}"
    data_set.ValueType, data_set.ContentSequence = "CONTAINER", Sequence([text])
    return data_set


def to_bytes(data_set: FileDataset) -> bytes:
    """Write a Part 10 file in the transfer syntax that its file meta group names."""
    syntax = data_set.file_meta.TransferSyntaxUID
    written = BytesIO()
    pydicom.dcmwrite(
        written,
        data_set,
        implicit_vr=syntax == ImplicitVRLittleEndian,
        little_endian=syntax != ExplicitVRBigEndian,
        enforce_file_format=True,
    )
    return written.getvalue()


def identity_of(data_set: Dataset) -> tuple[str, ...]:
    """List what must appear nowhere behind the gateway: names, ids, original UIDs and dates."""
    name = str(data_set.PatientName)
    return (
        *(part for part in name.split("^") if part),
        str(data_set.PatientID),
        str(data_set.AccessionNumber),
        str(data_set.StudyInstanceUID),
        str(data_set.SeriesInstanceUID),
        str(data_set.SOPInstanceUID),
        str(data_set.PatientBirthDate),
        str(data_set.StudyDate),
    )


def _object(sop_class: str, modality: str, seed: str, options: Options) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(sop_class)
    meta.MediaStorageSOPInstanceUID = UID(uid(f"instance {seed}"))
    meta.TransferSyntaxUID = UID(options.transfer_syntax)
    meta.SourceApplicationEntityTitle = "ZQAETITLE"
    data_set = FileDataset(BytesIO(), {}, file_meta=meta, preamble=b"ZQPREAMBLE".ljust(128, b"\0"))
    data_set.SpecificCharacterSet = "ISO_IR 192"
    data_set.SOPClassUID, data_set.SOPInstanceUID = sop_class, uid(f"instance {seed}")
    data_set.StudyInstanceUID = uid(f"study {options.study}")
    data_set.SeriesInstanceUID = uid(f"series {options.study} {modality}")
    data_set.FrameOfReferenceUID = uid(f"frame {options.study}")
    data_set.Modality, data_set.Manufacturer = modality, "ACME"
    if options.synthetic:
        data_set.Manufacturer = SYNTHETIC_MANUFACTURER
    data_set.ImageType = ["ORIGINAL", "PRIMARY"]
    data_set.PatientName, data_set.PatientID = options.patient_name, options.patient_id
    data_set.PatientBirthDate, data_set.PatientAge = options.birth_date, options.age
    data_set.PatientSex, data_set.AccessionNumber = options.sex, options.accession
    data_set.StudyDate = data_set.SeriesDate = data_set.ContentDate = options.study_date
    data_set.StudyTime, data_set.StudyID = "101112.131415", "1"
    data_set.StudyDescription = f"Thorax of {options.patient_name}"
    data_set.ReferringPhysicianName = "ZQDOCTOR^ZQGOOD"
    data_set.InstitutionName = "ZQHOSPITAL"
    _add_options(data_set, options)
    for keyword, value in options.extra.items():
        setattr(data_set, keyword, value)
    return data_set


def _add_options(data_set: Dataset, options: Options) -> None:
    if options.burned_in:
        data_set.BurnedInAnnotation = options.burned_in
    if options.private:
        block = data_set.private_block(0x0029, "ZQ PRIVATE", create=True)
        block.add_new(0x10, "LO", f"private {options.patient_id}")
    if options.nested:
        referenced = Dataset()
        referenced.ReferencedSOPClassUID = CT_IMAGE
        referenced.ReferencedSOPInstanceUID = uid("instance ct-1")
        request = Dataset()
        request.RequestedProcedureDescription = f"CT of {options.patient_name}"
        request.AccessionNumber, request.PatientID = options.accession, options.patient_id
        request.ReferencedImageSequence = Sequence([referenced])
        data_set.RequestAttributesSequence = Sequence([request])
        data_set.ReferencedImageSequence = Sequence([referenced])


def _noise(seed: str, kind: type[np.generic]) -> np.ndarray:
    numbers = np.random.default_rng(int(uid(seed)[5:20])).integers(0, 200, (16, 16))
    return numbers.astype(kind)


def _with_pixels(data_set: FileDataset, pixels: np.ndarray, *, signed: bool = False) -> FileDataset:
    data_set.Rows, data_set.Columns = pixels.shape
    data_set.SamplesPerPixel, data_set.PhotometricInterpretation = 1, "MONOCHROME2"
    data_set.BitsAllocated = data_set.BitsStored = pixels.itemsize * 8
    data_set.HighBit, data_set.PixelRepresentation = pixels.itemsize * 8 - 1, int(signed)
    big_endian = data_set.file_meta.TransferSyntaxUID == ExplicitVRBigEndian
    coded = pixels.astype(pixels.dtype.newbyteorder(">")) if big_endian else pixels
    data_set.add_new(0x7FE00010, "OW", coded.tobytes())
    return data_set
