"""A published result on de-identified images, with the maps that its model left: what documents are made of."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import FileDataset

from inference.pixels import Geometry
from inference.training.phantoms import SyntheticIdentity, generate, to_dicom
from runtime.ports import Objects
from runtime.vault import Identity
from schemas.events import Box, Finding, Findings, Outline, ResultImage
from schemas.identifiers import Pseudonyms
from stream_processors.deidentification.engine import deidentify
from stream_processors.steps.infer import activation_file
from tests.support import dicoms, events

WHO = SyntheticIdentity(
    "Probe^Synthetic", "P4711", "A0815", "19700101", "F", datetime(2026, 1, 2, tzinfo=UTC)
)
"""Whose the chest X-ray is."""
CELLS = 8
"""Side of the maps."""


@cache
def chest_xray() -> bytes:
    """A generated chest X-ray, as a sender sends it."""
    return to_dicom(generate(4_000_001, findings=frozenset({"pneumothorax"})), WHO)


def ct_slices(count: int = 2) -> list[bytes]:
    """Axial slices of one series, as a sender sends them."""
    return [dicoms.to_bytes(dicoms.ct_slice(f"ct-{number}", number=number)) for number in range(1, count + 1)]


def other(made: FileDataset) -> bytes:
    """Any other object, as a sender sends it."""
    return dicoms.to_bytes(made)


def clean(raw: bytes, pseudonyms: Pseudonyms) -> bytes:
    """Return the same image behind the border."""
    return deidentify(raw, pseudonyms).data


def maps(labels: Sequence[str], rows: int, columns: int) -> bytes:
    """Activation file in which each label is strong in the upper left quarter of the image."""
    cams = np.full((len(labels), CELLS, CELLS), -6.0, np.float32)
    cams[:, 1:4, 1:4] = 3.0
    side = 64
    scale = side / max(rows, columns)
    left, top = (side - round(columns * scale)) // 2, (side - round(rows * scale)) // 2
    return activation_file(
        cams, labels, Geometry(rows=rows, columns=columns, side=side, scale=scale, left=left, top=top)
    )


def present(name: str, instance: str = "in-1", **changes: Any) -> Finding:
    """A finding with a box, coded as PS3.16 has it."""
    told: dict[str, Any] = {
        "code_value": "36118008",
        "coding_scheme": "SCT",
        "code_meaning": "Pneumothorax",
        "code_verified": True,
        "instance": instance,
        "box": Box(x=2, y=2, width=6, height=6),
        "outlines": (Outline(pixels=(2.0, 2.0, 8.0, 2.0, 8.0, 8.0, 2.0, 8.0)),),
    }
    return replace(events.finding(name), **(told | changes))


def image(number: int = 1) -> ResultImage:
    """Reference to the image `in-<number>`."""
    return ResultImage(
        series="se-1",
        instance=f"in-{number}",
        bucket="clean",
        object_key=f"image-{number}",
        digest="d",
        activation_bucket="results",
        activation_key=f"maps-{number}",
    )


def result(*found: Finding, images: int = 1, result_id: str = "r1", **changes: Any) -> Findings:
    """A result on so many images."""
    told = {"result_id": result_id, "images": tuple(image(number + 1) for number in range(images))}
    return events.findings(f"event of {result_id}", *found, **(told | changes))


def stored(objects: Objects, images: Sequence[bytes], labels: Sequence[str], rows: int, columns: int) -> None:
    """Put clean images and their maps where `image` says they are."""
    for number, data in enumerate(images, start=1):
        reference = image(number)
        objects.put(reference.bucket, reference.object_key, data)
        objects.put(reference.activation_bucket, reference.activation_key, maps(labels, rows, columns))


def identity_of(raw: bytes) -> Identity:
    """What the vault holds of a study, from one of its images."""
    header = pydicom.dcmread(io.BytesIO(raw), stop_before_pixels=True)
    keywords = {
        "patient_name": "PatientName",
        "patient_id": "PatientID",
        "patient_birth_date": "PatientBirthDate",
        "patient_sex": "PatientSex",
        "accession_number": "AccessionNumber",
        "study_instance_uid": "StudyInstanceUID",
        "study_date": "StudyDate",
        "study_time": "StudyTime",
        "study_description": "StudyDescription",
        "referring_physician_name": "ReferringPhysicianName",
    }
    return Identity(**{name: str(header.get(keyword, "")) for name, keyword in keywords.items()})
