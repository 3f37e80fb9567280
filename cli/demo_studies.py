"""What the demonstration sends: public sample files that come with pydicom, generated studies, one damaged file."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from typing import Literal

from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid

from inference.training.files import brain_mr_image, head_ct, ultrasound_clip
from inference.training.phantoms import SyntheticIdentity, generate, to_dicom

Exam = Literal["Chest X-ray", "Head CT", "Brain MR", "Ultrasound"]
SLICES = 20
"""Images of the head CT: 5 mm apart, as many departments send them."""


@dataclass(frozen=True, slots=True)
class GeneratedStudy:
    """A study to generate.

    Parameters
    ----------
    seed
        From `inference.training.seeds.DEMONSTRATION`: images no model has ever seen.
    findings
        What the phantom shows.
    patient_name, sex, birth_date, priority
        Its invented patient and order.
    site
        Site that sends it.
    exam
        What is imaged.
    """

    seed: int
    findings: frozenset[str]
    patient_name: str
    sex: str
    birth_date: str
    priority: str
    site: str
    exam: Exam = "Chest X-ray"


GENERATED = (
    GeneratedStudy(910_001, frozenset({"pneumothorax"}), "Doe^Jane", "F", "19650312", "ROUTINE", "north"),
    GeneratedStudy(910_002, frozenset({"effusion"}), "Roe^Max", "M", "19480722", "ROUTINE", "north"),
    GeneratedStudy(910_003, frozenset(), "Loe^Sam", "M", "19930130", "ROUTINE", "north"),
    GeneratedStudy(910_004, frozenset({"cardiomegaly"}), "Poe^Ann", "F", "19571104", "HIGH", "north"),
    GeneratedStudy(
        910_005, frozenset({"pneumothorax", "effusion"}), "Moe^Kim", "F", "19710518", "STAT", "north"
    ),
    GeneratedStudy(910_006, frozenset({"consolidation"}), "Foe^Lee", "M", "19800926", "ROUTINE", "south"),
    GeneratedStudy(
        910_007, frozenset({"intraparenchymal"}), "Noe^Eva", "F", "19520217", "ROUTINE", "north", "Head CT"
    ),
    GeneratedStudy(
        910_008, frozenset({"lesion"}), "Zoe^Tom", "M", "19881209", "ROUTINE", "north", "Brain MR"
    ),
    GeneratedStudy(
        910_009, frozenset({"cyst"}), "Voe^Mia", "F", "19940821", "ROUTINE", "north", "Ultrasound"
    ),
)
DAMAGED = "MR_truncated.dcm"
"""A public file that ends before its pixel data does."""


@dataclass(frozen=True, slots=True)
class PublicStudy:
    """A study made of one public file.

    Parameters
    ----------
    file
        Name in pydicom's `data/test_files`.
    title
        What it is, for people.
    slices
        How many instances to make of it.
    site
        Site that sends it.
    """

    file: str
    title: str
    slices: int
    site: str


PUBLIC = (
    PublicStudy("CT_small.dcm", "CT, uncompressed", 4, "north"),
    PublicStudy("J2K_pixelrep_mismatch.dcm", "CT head, JPEG 2000", 1, "north"),
    PublicStudy("693_J2KI.dcm", "CT, JPEG 2000", 1, "south"),
    PublicStudy("MR_small.dcm", "MR, uncompressed", 2, "north"),
    PublicStudy("MR_small_jpeg_ls_lossless.dcm", "MR, JPEG-LS", 1, "south"),
    PublicStudy("examples_overlay.dcm", "MR abdomen with overlay", 1, "north"),
    PublicStudy("examples_palette.dcm", "US, palette colour", 1, "south"),
    PublicStudy("examples_rgb_color.dcm", "US, RGB", 1, "south"),
    PublicStudy("examples_ybr_color.dcm", "US, 30 frames, JPEG", 1, "south"),
)


@dataclass(frozen=True, slots=True)
class Sent:
    """One study to send.

    Parameters
    ----------
    title
        What it is, for people.
    kind
        `public`, `synthetic` or `damaged`.
    site
        Site that sends it.
    study_instance_uid
        Its StudyInstanceUID, made for this run.
    files
        Its instances as DICOM files.
    """

    title: str
    kind: str
    site: str
    study_instance_uid: str
    files: tuple[bytes, ...]


def _to_bytes(dataset: Dataset) -> bytes:
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def with_own_uids(data: bytes, slices: int, accession: str) -> tuple[str, tuple[bytes, ...]]:
    """Copy a file into a study with UIDs and an accession number of its own.

    Returns
    -------
    tuple
        The new StudyInstanceUID and one file per slice.
    """
    return reissued([data] * slices, accession)


def reissued(files: Sequence[bytes], accession: str = "") -> tuple[str, tuple[bytes, ...]]:
    """One series of these files in a study of its own, with fresh UIDs; an accession number where one is given.

    Returns
    -------
    tuple
        The new StudyInstanceUID and the files.
    """
    study_uid, series_uid = generate_uid(prefix=None), generate_uid(prefix=None)
    made = []
    for number, data in enumerate(files, start=1):
        dataset = dcmread(io.BytesIO(data))
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study_uid, series_uid
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid(prefix=None)
        dataset.InstanceNumber = number
        if accession:
            dataset.AccessionNumber = accession
        made.append(_to_bytes(dataset))
    return study_uid, tuple(made)


def public_file(name: str) -> bytes:
    """Read a sample file out of pydicom's wheel."""
    return resources.files("pydicom").joinpath("data", "test_files", name).read_bytes()


def studies() -> Iterator[Sent]:
    """Everything the demonstration sends, with UIDs of this run's own; what a model reads first."""
    for generated in GENERATED:
        yield _generated(generated)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # sample files bend the standard on purpose, and pydicom says so
        yield from _public()


def _generated(study: GeneratedStudy) -> Sent:
    identity = SyntheticIdentity(
        patient_name=study.patient_name,
        patient_id=f"SYN-{study.seed}",
        accession_number=f"SYN{study.seed}",
        birth_date=study.birth_date,
        sex=study.sex,
        taken_at=datetime.now(UTC),
        priority=study.priority,
    )
    study_uid, files = reissued(_files(study, identity))
    shown = ", ".join(sorted(study.findings)) or "normal"
    return Sent(f"{study.exam}, generated: {shown}", "synthetic", study.site, study_uid, files)


def _files(study: GeneratedStudy, identity: SyntheticIdentity) -> tuple[bytes, ...]:
    seed, findings = study.seed, study.findings
    if study.exam == "Head CT":
        return head_ct(seed, identity, findings=findings, slices=SLICES)
    if study.exam == "Brain MR":
        return (brain_mr_image(seed, identity, findings=findings),)
    if study.exam == "Ultrasound":
        return (ultrasound_clip(seed, identity, findings=findings),)
    return (to_dicom(generate(seed, findings=findings), identity),)


def _public() -> Iterator[Sent]:
    for number, public in enumerate(PUBLIC, start=1):
        study_uid, files = with_own_uids(public_file(public.file), public.slices, f"PUB{number:04d}")
        yield Sent(f"{public.title} ({public.file})", "public", public.site, study_uid, files)
    yield Sent(f"Damaged on purpose ({DAMAGED})", "damaged", "north", "", (public_file(DAMAGED),))
