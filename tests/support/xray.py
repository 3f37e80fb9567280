"""A tiny synthetic chest X-ray with a planted identity."""

from __future__ import annotations

import io
from typing import Any

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

PLANTED_NAME = "PLANTED^IDENTITY"
"""A patient's name that must appear nowhere behind the border."""
STUDY_UID = "1.2.826.0.1.3680043.10.9999.1"


def xray(**changes: Any) -> bytes:
    """A 16 × 16 DX file; `changes` are DICOM keywords and their values."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    dataset = Dataset()
    dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = f"{STUDY_UID}.1.1"
    dataset.StudyInstanceUID = STUDY_UID
    dataset.SeriesInstanceUID = f"{STUDY_UID}.1"
    dataset.PatientName = PLANTED_NAME
    dataset.PatientID = "PLANTED-4711"
    dataset.PatientAge = "044Y"
    dataset.PatientSex = "F"
    dataset.StudyDate = "20240229"
    dataset.Modality = "DX"
    dataset.BodyPartExamined = "CHEST"
    dataset.ViewPosition = "PA"
    dataset.Rows = dataset.Columns = 16
    dataset.BitsAllocated = 16
    dataset.BitsStored, dataset.HighBit = 12, 11
    dataset.SamplesPerPixel = 1
    dataset.PixelRepresentation = 0
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.PixelData = bytes(range(256)) * 2
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    written = io.BytesIO()
    FileDataset(written, dataset, file_meta=meta, preamble=bytes(128)).save_as(
        written, enforce_file_format=True
    )
    return written.getvalue()
