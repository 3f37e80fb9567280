"""Synthetic head CT, brain MR and ultrasound as DICOM files, marked synthetic; chest X-rays are in `phantoms`."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    UltrasoundMultiFrameImageStorage,
)

from inference.training import brain_mr, head, ultrasound
from inference.training.head import Slice
from inference.training.phantoms import SyntheticIdentity, uid_from, write_identity

CT_OFFSET = 1024
"""Stored value of a CT is the Hounsfield number plus this, as most scanners write it (PS3.3 §C.11.1)."""
SLICES = 16


def head_ct(
    seed: int,
    identity: SyntheticIdentity,
    *,
    findings: frozenset[str] | None = None,
    slices: int = SLICES,
    side: int = 256,
) -> tuple[bytes, ...]:
    """A series of CT images (PS3.3 §A.3) from the base of the skull upwards, one file per slice."""
    made = head.series(head.draw(seed, findings=findings), slices, side)
    gap = made[1].z - made[0].z if slices > 1 else 5.0
    return tuple(_ct(seed, identity, number, each, gap) for number, each in enumerate(made, start=1))


def _ct(seed: int, identity: SyntheticIdentity, number: int, made: Slice, gap: float) -> bytes:
    dataset = _file(seed, identity, CTImageStorage, "CT", number)
    dataset.BodyPartExamined, dataset.ImageType = "HEAD", ["ORIGINAL", "PRIMARY", "AXIAL"]
    corner = -(made.values.shape[0] - 1) / 2 * made.spacing_mm
    dataset.ImagePositionPatient = [round(corner, 4), round(corner, 4), round(made.z, 4)]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing = [round(made.spacing_mm, 5)] * 2
    dataset.SliceThickness = dataset.SpacingBetweenSlices = round(gap, 4)
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = f"-{CT_OFFSET}", "1", "HU"
    dataset.WindowCenter, dataset.WindowWidth, dataset.KVP = "40", "80", "120"
    return _saved(dataset, (made.values.astype(np.int32) + CT_OFFSET).astype(np.uint16), bits=12)


def brain_mr_image(
    seed: int, identity: SyntheticIdentity, *, findings: frozenset[str] | None = None, side: int = 256
) -> bytes:
    """One MR image (PS3.3 §A.4)."""
    made = brain_mr.generate(seed, side, findings=findings)
    dataset = _file(seed, identity, MRImageStorage, "MR", 1)
    dataset.BodyPartExamined, dataset.ImageType = "BRAIN", ["ORIGINAL", "PRIMARY", "OTHER"]
    corner = -(side - 1) / 2 * made.spacing_mm
    dataset.ImagePositionPatient = [round(corner, 4), round(corner, 4), 0]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing, dataset.SliceThickness = [round(made.spacing_mm, 5)] * 2, "5"
    dataset.ScanningSequence, dataset.SequenceVariant, dataset.MRAcquisitionType = ["SE", "IR"], "SK", "2D"
    return _saved(dataset, made.pixels // 16, bits=12)


def ultrasound_clip(
    seed: int,
    identity: SyntheticIdentity,
    *,
    findings: frozenset[str] | None = None,
    frames: int = 5,
    side: int = 256,
) -> bytes:
    """A colour clip (PS3.3 §A.7): RGB by pixel, no text in the picture."""
    made = ultrasound.generate(seed, side, frames=frames, findings=findings)
    dataset = _file(seed, identity, UltrasoundMultiFrameImageStorage, "US", 1)
    dataset.BodyPartExamined, dataset.ImageType = "ABDOMEN", ["ORIGINAL", "PRIMARY", "ABDOMINAL"]
    dataset.NumberOfFrames, dataset.FrameTime = frames, "40"
    dataset.BurnedInAnnotation = "NO"
    return _saved(dataset, made.frames, bits=8)


def _file(seed: int, identity: SyntheticIdentity, sop_class: UID, modality: str, number: int) -> FileDataset:
    """What all of them have: meta information, identity, series, equipment."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = sop_class, ExplicitVRLittleEndian
    meta.MediaStorageSOPInstanceUID = UID(uid_from(seed, f"{modality}-instance-{number}"))
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID = uid_from(seed, f"{modality}-study")
    dataset.SeriesInstanceUID = uid_from(seed, f"{modality}-series")
    dataset.FrameOfReferenceUID = uid_from(seed, f"{modality}-frame")
    write_identity(dataset, identity)
    dataset.Modality, dataset.SeriesNumber, dataset.InstanceNumber = modality, "1", str(number)
    dataset.StudyDescription = dataset.SeriesDescription = f"Synthetic {modality}"
    dataset.Manufacturer, dataset.ManufacturerModelName = "Radstream synthetic", "Phantom generator"
    dataset.ImageComments = "Synthetic image, no patient"
    dataset.LossyImageCompression, dataset.BurnedInAnnotation = "00", "NO"
    return dataset


def _saved(dataset: FileDataset, pixels: NDArray[np.unsignedinteger], *, bits: int) -> bytes:
    """Image pixel module (PS3.3 §C.7.6.3) and the bytes of the file; colour has a last axis of three."""
    colour = pixels.shape[-1] == 3
    dataset.Rows, dataset.Columns = pixels.shape[-3:-1] if colour else pixels.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = (3, "RGB") if colour else (1, "MONOCHROME2")
    if colour:
        dataset.PlanarConfiguration = 0
    stored = 8 if bits <= 8 else 16
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = stored, bits, bits - 1
    dataset.PixelRepresentation = 0
    dataset.PixelData = pixels.astype("u1" if stored == 8 else "<u2").tobytes()
    out = BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()
