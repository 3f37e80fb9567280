"""Files for the benchmark of de-identification: one of each kind, and others that differ from it as real ones do."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

from cli.demo_studies import public_file

FRAMES = 25
"""of the enhanced MR; with a private group in each functional group about 2,000 elements."""
SLICES = 100
"""of a CT series: real ones have one to several hundred. What a first slice costs more is shared by as many."""
PATIENT, SLICE = 2_000_000, 1_000_000
"""What stands for a patient, and for an image, in names, ids, UIDs and positions: as many digits in every file."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file, and what the files of one round have in common."""

    name: str
    template: bytes
    same_patient: bool = False
    same_file: bool = False
    most: int = 40
    """Files of one round."""

    def file(self, number: int, series: int) -> bytes:
        """Make one of many files: no two numbers give the same, unless it is the same file that is measured."""
        if self.same_file:
            return self.template
        patient = series if self.same_patient else number
        return self.template.replace(b"%d" % PATIENT, b"%d" % (PATIENT + patient)).replace(
            b"%d" % SLICE, b"%d" % (SLICE + number)
        )


def kinds() -> list[Kind]:
    """Name what is measured."""
    ct, mr = ct_slice(), enhanced_mr()
    return [
        Kind("CT, slices of a series", ct, same_patient=True, most=SLICES),
        Kind("CT, one file again and again", ct, same_file=True, most=SLICES),
        Kind("CT, a patient each", ct, most=SLICES),
        Kind("DX, a patient each", chest()),
        Kind("enhanced MR, one file again and again", mr, same_file=True),
        Kind("enhanced MR, a patient each", mr),
        Kind("US, a patient each", ultrasound()),
    ]


def ct_slice() -> bytes:
    """A public CT header over 512 x 512 pixels of noise."""
    made = pydicom.dcmread(io.BytesIO(public_file("CT_small.dcm")))
    made.Rows = made.Columns = 512
    made.PixelData = np.random.default_rng(1).integers(0, 4096, (512, 512), dtype=np.uint16).tobytes()
    made.ImagePositionPatient, made.SliceLocation = ["-158.1", "-179.0", f"{SLICE}.25"], f"{SLICE}.25"
    if "DataSetTrailingPadding" in made:
        del made.DataSetTrailingPadding
    return _written(made)


def chest() -> bytes:
    """A chest X-ray of 8 MB."""
    return _image("DX", "1.2.840.10008.5.1.4.1.1.1.1", 2000)


def ultrasound() -> bytes:
    """An ultrasound image."""
    return _image("US", "1.2.840.10008.5.1.4.1.1.6.1", 600)


def enhanced_mr() -> bytes:
    """An enhanced MR: for each frame its functional groups, one of them private."""
    made = pydicom.dcmread(io.BytesIO(public_file("MR_small.dcm")))
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.4.1")
    made.NumberOfFrames = FRAMES
    made.PixelData = made.PixelData * FRAMES
    made.PerFrameFunctionalGroupsSequence = Sequence([_frame(number) for number in range(FRAMES)])
    return _written(made)


def _frame(number: int) -> Dataset:
    content, position, orientation, echo, reference = (Dataset() for _ in range(5))
    content.FrameAcquisitionDateTime, content.FrameReferenceDateTime = "20200102101112", "20200102101113"
    content.FrameAcquisitionDuration, content.StackID, content.InStackPositionNumber = 12.5, "1", number + 1
    content.DimensionIndexValues, content.TemporalPositionIndex = [1, number + 1], 1
    position.ImagePositionPatient = [0, 0, number]
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    echo.EffectiveEchoTime = 30.0
    reference.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    reference.ReferencedSOPInstanceUID = f"1.2.826.0.1.3680043.9.7777.4.{PATIENT}.{number}"
    frame = Dataset()
    frame.FrameContentSequence, frame.PlanePositionSequence = Sequence([content]), Sequence([position])
    frame.PlaneOrientationSequence, frame.MREchoSequence = Sequence([orientation]), Sequence([echo])
    frame.ReferencedImageSequence = Sequence([reference])
    inner = Dataset()
    block = inner.private_block(0x0021, "BENCHMARK", create=True)
    for element in range(30):
        block.add_new(element, "LO", f"value {element}")
    frame.private_block(0x0021, "BENCHMARK", create=True).add_new(0xFE, "SQ", Sequence([inner]))
    return frame


def _image(modality: str, sop_class: str, side: int) -> bytes:
    made = pydicom.dcmread(io.BytesIO(public_file("MR_small.dcm")))
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = UID(sop_class)
    made.Modality = modality
    made.Rows = made.Columns = side
    made.PixelData = np.random.default_rng(2).integers(0, 4096, (side, side), dtype=np.uint16).tobytes()
    return _written(made)


def _written(made: FileDataset) -> bytes:
    """Write a template: whose it is, and which image, by what other files have otherwise."""
    made.PatientName, made.PatientID = f"FAMILY^P{PATIENT}", f"P{PATIENT}"
    made.StudyInstanceUID = f"1.2.826.0.1.3680043.9.7777.1.{PATIENT}"
    made.SeriesInstanceUID = f"1.2.826.0.1.3680043.9.7777.2.{PATIENT}"
    made.SOPInstanceUID = f"1.2.826.0.1.3680043.9.7777.3.{PATIENT}.{SLICE}"
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    made.InstanceNumber = SLICE
    out = io.BytesIO()
    made.save_as(out, enforce_file_format=True)
    return out.getvalue()


Way = Callable[[bytes], object]
"""Something that is done to the bytes of a file."""
