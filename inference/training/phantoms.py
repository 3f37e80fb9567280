"""Synthetic chest X-rays with known findings, from a seed.

A picture is a line integral through :mod:`inference.training.anatomy`, a detector with scatter and photon noise, and
the grey scale of a digital X-ray. It is meant to exercise every part of the system and to train the demonstration
model. It says nothing about how any model would do on patients.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from inference.training import anatomy, distractors
from inference.training.anatomy import Body, Field, Lung, Mask, Plane

LABELS = ("nodule", "pneumothorax", "effusion", "consolidation", "cardiomegaly")
PREVALENCE = 0.22
"""Share of images that carry each finding, drawn independently: enough positives to learn from, most images mixed."""

MU_TISSUE, MU_LUNG, MU_BONE = 0.0195, 0.0055, 0.048
"""Attenuation per mm near 70 keV of soft tissue, inflated lung and bone; air is taken as nothing."""

LEAST_DISPLACED_MM = 10.0
"""Fluid is marked where it displaces so much air along the ray: a tenth of the light. Its last wedge over the diaphragm, which
displaces less, changes no pixel that anybody could point to."""

CLOUD_SHARE = 0.5
"""A cloud is marked where it displaces at least half as much air as where it displaces most: it has no border, only a width
at half its height."""

BITS_STORED = 12
GENERATOR_VERSION = "4"
"""Goes up with any change that alters a picture made from a given seed."""


@dataclass(frozen=True)
class Phantom:
    """One synthetic X-ray.

    ``pixels`` is uint16 of ``BITS_STORED`` bits, dense tissue bright (MONOCHROME2), shape (rows, columns).
    ``masks`` holds, for each finding that is present, where it is. ``spacing_mm`` is the pixel pitch.
    """

    seed: int
    pixels: NDArray[np.uint16]
    spacing_mm: float
    masks: dict[str, Mask] = field(repr=False)
    attributes: dict[str, float] = field(repr=False, default_factory=dict)
    """What subgroups are made of: ``thickness_mm``, ``photons``, ``blur_mm``, ``devices``, and the ``conspicuity``
    (0 hardly visible to 1 evident) of each finding that is present, by its name."""

    @property
    def labels(self) -> frozenset[str]:
        """Names of the findings that are present."""
        return frozenset(self.masks)


def generate(
    seed: int,
    *,
    rows: int = 512,
    columns: int = 512,
    findings: frozenset[str] | None = None,
    conspicuity: float | None = None,
) -> Phantom:
    """Make the X-ray of ``seed``.

    ``findings`` fixes which of :data:`LABELS` are present, and shows them evident, as a demonstration should; without it
    each is drawn with :data:`PREVALENCE`, from hardly visible to evident. ``conspicuity`` (0..1) fixes that as well.
    Anatomy and findings depend on the seed alone; only their sampling depends on ``rows`` and ``columns``.
    """
    rng = np.random.default_rng([0xC7A5, seed])
    drawn = rng.uniform(size=len(LABELS)) < PREVALENCE
    present = frozenset(n for n, d in zip(LABELS, drawn, strict=True) if d) if findings is None else findings
    if unknown := present - set(LABELS):
        raise ValueError(f"no such finding: {sorted(unknown)}")
    shown = _conspicuity(seed, conspicuity if findings is None or conspicuity is not None else EVIDENT)
    plane = Plane.of(rows, columns).moved(
        rng.normal(0, 0.035), rng.normal(0, 8), rng.normal(0, 9), rng.uniform(0.9, 1.06)
    )
    chest = _Chest.build(
        plane, (rows, columns), rng, shown["cardiomegaly"] if "cardiomegaly" in present else None
    )
    if "consolidation" in present:
        chest.consolidate(np.random.default_rng([1, seed]), shown["consolidation"])
    if "pneumothorax" in present:
        chest.collapse(np.random.default_rng([2, seed]), shown["pneumothorax"])
    if "effusion" in present:
        chest.fill(np.random.default_rng([3, seed]), shown["effusion"])
    if "nodule" in present:
        chest.add_nodule(np.random.default_rng([4, seed]), shown["nodule"])
    extra, metal, devices = distractors.drawn(plane, chest.body, np.random.default_rng([5, seed]))
    chest.extra, chest.bone = chest.extra + extra, chest.bone + metal
    beam = _Beam.draw(np.random.default_rng([7, seed]))
    pixels = _expose(chest, beam, np.random.default_rng([6, seed]))
    told = {
        "thickness_mm": chest.body.depth,
        "photons": beam.photons,
        "blur_mm": beam.blur,
        "devices": float(devices),
    }
    told |= {name: shown[name] for name in sorted(present)}
    return Phantom(seed, pixels, plane.spacing, {name: chest.masks[name] for name in sorted(present)}, told)


EVIDENT = 0.85
"""Conspicuity of what a caller asks for."""


def _conspicuity(seed: int, fixed: float | None) -> dict[str, float]:
    """How plainly each finding shows, drawn for each on its own."""
    drawn = np.random.default_rng([8, seed]).uniform(size=len(LABELS))
    return {n: float(d) if fixed is None else fixed for n, d in zip(LABELS, drawn, strict=True)}


def _graded(rng: np.random.Generator, low: float, high: float, shown: float) -> float:
    """Between ``low`` (hardly visible) and ``high`` (evident), three quarters by ``shown`` and the rest by chance."""
    return float(low + (high - low) * (0.75 * shown + 0.25 * rng.uniform()))


@dataclass
class _Chest:
    """Path lengths that the findings change one after the other."""

    plane: Plane
    shape: tuple[int, int]
    body: Body
    lungs: tuple[Lung, Lung]
    air: Field
    """Inflated lung along the ray, mm."""
    trunk: Field
    bone: Field
    blood: Field
    extra: Field
    """Soft tissue put on top (findings, folds, leads), mm; may be negative."""
    heart: Field
    masks: dict[str, Mask]

    @classmethod
    def build(
        cls, plane: Plane, shape: tuple[int, int], rng: np.random.Generator, enlarged: float | None
    ) -> _Chest:
        body = Body.draw(rng, enlarged=enlarged)
        lungs = (anatomy.lung(plane, body, -1), anatomy.lung(plane, body, 1))
        heart, outline = anatomy.heart(plane, body)
        middle = anatomy.mediastinum(plane, body)
        air = np.clip(lungs[0].length + lungs[1].length - heart - middle, 0, None).astype(np.float32)
        inflated = anatomy.smoothstep(air / 60)
        blood = anatomy.vessels(plane, shape, rng) * inflated
        return cls(
            plane, shape, body, lungs, air, anatomy.torso(plane, body), anatomy.bones(plane, body, rng), blood,
            np.zeros(shape, dtype=np.float32), heart, {"cardiomegaly": outline},
        )  # fmt: skip

    def consolidate(self, rng: np.random.Generator, shown: float) -> None:
        """Airspace filled in a cloud with a soft, uneven border."""
        lung = self.lungs[rng.integers(2)]
        height = rng.uniform(-80, 30)
        across = lung.centre + lung.side * rng.uniform(-8, 25)
        size, stretch = _graded(rng, 18, 46, shown), rng.uniform(0.75, 1.3)
        distance = np.hypot((self.plane.x - across) / stretch, (self.plane.y - height) * stretch) / size
        coarse = anatomy.enlarge(rng.normal(0, 1, (18, 18)).astype(np.float32), self.shape)
        fine = anatomy.enlarge(rng.normal(0, 1, (44, 44)).astype(np.float32), self.shape)
        cloud = anatomy.smoothstep((1.15 - distance + 0.22 * coarse + 0.10 * fine) / 0.7) * lung.inside
        filled = _graded(rng, 0.09, 0.55, shown) * cloud * self.air
        self.air = self.air - filled
        self.blood = self.blood * (1 - 0.5 * cloud)
        self.masks["consolidation"] = (filled > 0) & (filled >= CLOUD_SHARE * filled.max())

    def collapse(self, rng: np.random.Generator, shown: float) -> None:
        """Free air between the chest wall and a lung that has drawn back, with the thin line of its surface."""
        side = int(rng.integers(2))
        outer = self.lungs[side]
        shrink = _graded(rng, 3.5, 38, shown)
        thin, clear = _graded(rng, 0.6, 3.2, shown), _graded(rng, 0.1, 0.75, shown)
        inner = anatomy.lung(self.plane, self.body, outer.side, shrink)
        free = outer.inside & ~inner.inside & (outer.side * self.plane.x > 30) & (self.air > 4)
        kept = np.clip(1 - np.abs(inner.u), 0, None) * inner.width
        line = np.exp(-0.5 * ((kept - 1.2) / 0.9) ** 2) * inner.inside * (outer.u > 0.1)
        self.blood = self.blood * (1 - free * min(1.0, 0.4 + shown))
        self.extra = self.extra + (thin * line - free * self.air * MU_LUNG / MU_TISSUE * clear).astype(
            np.float32
        )
        self.extra = self.extra + (inner.inside * self.air * 0.0035 * shrink).astype(np.float32)
        self.masks["pneumothorax"] = free

    def fill(self, rng: np.random.Generator, shown: float) -> None:
        """Fluid over the diaphragm, climbing along the outer wall."""
        lung = self.lungs[rng.integers(2)]
        depth, climb = _graded(rng, 1, 62, shown), _graded(rng, 9, 34, shown)
        dense = _graded(rng, 0.55, 0.95, shown)
        level = (
            lung.dome
            - depth * np.clip(0.45 + 0.55 * lung.u, 0.1, 1)
            - climb * np.exp(-np.clip(1 - lung.u, 0, 9) * 4.5)
        )
        fluid = anatomy.smoothstep((self.plane.y - level) / 9) * (np.abs(lung.u) < 1)
        self.masks["effusion"] = dense * fluid * self.air >= LEAST_DISPLACED_MM
        self.air = np.asarray(self.air * (1 - dense * fluid), dtype=np.float32)
        self.blood = self.blood * (1 - dense * fluid)

    def add_nodule(self, rng: np.random.Generator, shown: float) -> None:
        """A round, slightly lobed density where there is lung to see it against."""
        lung = self.lungs[rng.integers(2)]
        clear = lung.inside & (self.air > 45) & (np.abs(lung.u) < 0.8)
        rows, columns = np.nonzero(clear if clear.any() else lung.inside)
        pick = int(rng.uniform() * len(rows))
        x = np.broadcast_to(self.plane.x, self.shape)[rows[pick], columns[pick]]
        y = np.broadcast_to(self.plane.y, self.shape)[rows[pick], columns[pick]]
        dx, dy = self.plane.x - x, self.plane.y - y
        radius, lobes, phase = _graded(rng, 7, 16, shown), rng.integers(2, 5), rng.uniform(0, 6.3)
        edge = radius * (1 + 0.09 * np.cos(lobes * np.arctan2(dy, dx) + phase))
        chord = 2 * np.sqrt(np.clip(edge**2 - dx**2 - dy**2, 0, None))
        self.extra = self.extra + (_graded(rng, 0.85, 1.3, shown) * chord).astype(np.float32)
        self.masks["nodule"] = np.asarray(chord > 0)


@dataclass(frozen=True)
class _Beam:
    """One exposure and what the detector makes of it."""

    photons: float
    """Per mm² of open detector."""
    scatter: float
    """Share of the primary."""
    blur: float
    """Focal spot, motion and detector together: sigma in mm."""
    hardness: float
    """Factor on all attenuation: a harder beam flattens the picture."""
    equalised: float
    gamma: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> _Beam:
        return cls(
            photons=float(np.exp(rng.uniform(np.log(1e5), np.log(6e5)))),
            scatter=rng.uniform(0.3, 1.0),
            blur=rng.uniform(0.2, 1.1),
            hardness=rng.uniform(0.85, 1.08),
            equalised=rng.uniform(0.25, 0.6),
            gamma=rng.uniform(0.8, 1.25),
        )


def _expose(chest: _Chest, beam: _Beam, rng: np.random.Generator) -> NDArray[np.uint16]:
    """Beam, scatter, photon noise, then the processing that a digital detector applies."""
    spacing = chest.plane.spacing
    tissue = np.clip(chest.trunk - chest.air, 0, None) + chest.extra + 0.9 * chest.blood
    attenuation = MU_TISSUE * tissue + MU_LUNG * chest.air + (MU_BONE - MU_TISSUE) * chest.bone
    primary = np.exp(-np.clip(beam.hardness * attenuation, 0, 12)).astype(np.float32)
    primary = anatomy.smooth(primary, max(beam.blur, 0.25 * spacing) / spacing)
    photons = beam.photons * spacing**2
    counts = (primary + beam.scatter * anatomy.low_pass(primary, 28, spacing)) * photons
    noise = rng.standard_normal(chest.shape, dtype=np.float32)
    counts = np.clip(counts + np.sqrt(counts) * noise, 1, None)
    film = -np.log(counts / photons)
    film = film - beam.equalised * anatomy.low_pass(film.astype(np.float32), 45, spacing)
    low, high = np.percentile(film[::4, ::4], (0.5, 99.5))
    grey = np.clip((film - low) / (high - low), 0, 1) ** beam.gamma
    _mark_side(grey, spacing)
    top = (1 << BITS_STORED) - 1
    return np.asarray(np.rint(grey * (0.96 * top) + 0.02 * top), dtype=np.uint16)


def _mark_side(grey: NDArray[np.floating], spacing: float) -> None:
    """An L-shaped lead marker beside the patient's left shoulder: laterality, not text about a person."""
    top, left, unit = int(14 / spacing), grey.shape[1] - int(26 / spacing), max(1, int(2.5 / spacing))
    grey[top : top + 5 * unit, left : left + unit] = 1.0
    grey[top + 4 * unit : top + 5 * unit, left : left + 3 * unit] = 1.0


@dataclass(frozen=True)
class SyntheticIdentity:
    """Who the synthetic X-ray is said to be of: given by the caller, who answers for it being invented."""

    patient_name: str
    patient_id: str
    accession_number: str
    birth_date: str
    """DICOM DA: YYYYMMDD."""
    sex: str
    taken_at: datetime
    priority: str = ""
    """RequestedProcedurePriority: STAT, HIGH, ROUTINE, MEDIUM, LOW, or nothing."""


def uid_from(seed: int, purpose: str) -> str:
    """A UID under 2.25 (PS3.5 §B.2) that depends on the seed and the purpose alone."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, f'radstream-synthetic/{purpose}/{seed}').int}"


def to_dicom(
    phantom: Phantom,
    identity: SyntheticIdentity,
    *,
    study_uid: str | None = None,
    series_uid: str | None = None,
    sop_uid: str | None = None,
) -> bytes:
    """A Digital X-Ray Image For Presentation (PS3.3 §A.26) as a complete file, marked synthetic.

    UIDs that are not given follow from the phantom's seed.
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = UID(sop_uid or uid_from(phantom.seed, "instance"))
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID = study_uid or uid_from(phantom.seed, "study")
    dataset.SeriesInstanceUID = series_uid or uid_from(phantom.seed, "series")
    write_identity(dataset, identity)
    _write_acquisition(dataset, phantom)
    _write_pixels(dataset, phantom)
    out = BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def write_identity(dataset: Dataset, identity: SyntheticIdentity) -> None:
    """Patient and study modules (PS3.3 §C.7.1, §C.7.2)."""
    date, time = identity.taken_at.strftime("%Y%m%d"), identity.taken_at.strftime("%H%M%S")
    dataset.PatientName, dataset.PatientID = identity.patient_name, identity.patient_id
    dataset.PatientBirthDate, dataset.PatientSex = identity.birth_date, identity.sex
    years = identity.taken_at.year - int(identity.birth_date[:4]) - (date[4:] < identity.birth_date[4:])
    dataset.PatientAge = f"{years:03d}Y"
    dataset.AccessionNumber, dataset.StudyID = identity.accession_number, "1"
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = date
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = time
    dataset.ReferringPhysicianName = ""
    if identity.priority:
        dataset.RequestedProcedurePriority = identity.priority


def _write_acquisition(dataset: Dataset, phantom: Phantom) -> None:
    """Series, equipment, anatomy, positioning and detector modules (PS3.3 §C.8.11)."""
    dataset.Modality, dataset.PresentationIntentType = "DX", "FOR PRESENTATION"
    dataset.SeriesNumber, dataset.InstanceNumber, dataset.SeriesDescription = "1", "1", "Synthetic chest PA"
    dataset.StudyDescription = "Synthetic chest X-ray"
    dataset.Manufacturer, dataset.ManufacturerModelName = "Radstream synthetic", "Phantom generator"
    dataset.SoftwareVersions, dataset.DeviceSerialNumber = GENERATOR_VERSION, "0"
    dataset.ImageType = ["DERIVED", "PRIMARY"]
    dataset.ImageComments = "Synthetic image, no patient"
    dataset.BodyPartExamined, dataset.ViewPosition = "CHEST", "PA"
    dataset.ImageLaterality, dataset.PatientOrientation = "U", ["L", "F"]
    dataset.BurnedInAnnotation, dataset.LossyImageCompression = "NO", "00"
    dataset.DetectorType, dataset.ImagerPixelSpacing = "DIRECT", [round(phantom.spacing_mm, 5)] * 2
    region = Dataset()
    region.CodeValue, region.CodingSchemeDesignator, region.CodeMeaning = "816094009", "SCT", "Chest"
    dataset.AnatomicRegionSequence = [region]
    view = Dataset()
    view.CodeValue, view.CodingSchemeDesignator, view.CodeMeaning = "272479007", "SCT", "postero-anterior"
    dataset.ViewCodeSequence = [view]
    dataset.AcquisitionContextSequence = []


def _write_pixels(dataset: Dataset, phantom: Phantom) -> None:
    """Image pixel and VOI LUT modules (PS3.3 §C.7.6.3, §C.11.2)."""
    dataset.Rows, dataset.Columns = phantom.pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, BITS_STORED, BITS_STORED - 1
    dataset.PixelRepresentation = 0
    dataset.PixelIntensityRelationship, dataset.PixelIntensityRelationshipSign = "LOG", -1
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "0", "1", "US"
    dataset.PresentationLUTShape = "IDENTITY"
    dataset.WindowCenter, dataset.WindowWidth = str(1 << (BITS_STORED - 1)), str(1 << BITS_STORED)
    dataset.PixelData = phantom.pixels.astype("<u2").tobytes()
