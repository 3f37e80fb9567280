"""A published result as DICOM objects: a TID 1500 report, segmentations and presentation states. The only file of highdicom.

1. They are made of de-identified headers and say nothing about a person that those do not say.
2. They are a function of the result and of the images: every UID follows from the result's id, and every date is the image's own
   (shifted) study date. The time of making beside a shifted date would give the shift away.
3. They claim what the AI claimed: unverified, preliminary, each finding with its probability, operating point and algorithm. A
   code that nobody verified is replaced by the project's private one (`reported_code`).
4. A finding keeps its tracking UID in all three kinds and over all revisions.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO
from itertools import count
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
from highdicom import pr, seg, sr
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from inference import outlines
from inference.settling import lean, settle, uids
from schemas.events import Box, Finding, Findings
from schemas.identifiers import deterministic_uuid

logging.getLogger("highdicom").setLevel(logging.CRITICAL)
"""It tells of every attribute that it copies."""

SR, SEG, PR = "sr", "seg", "pr"
"""Kinds of documents: Comprehensive 3D SR, Segmentation, Grayscale Softcopy Presentation State."""

PRIVATE_SCHEME = "99RADSTREAM"
"""Designator of the project's own codes (PS3.16 §8: private designators begin with 99)."""
MANUFACTURER = "Radstream"
NOT_DIAGNOSTIC = "AI result, not for diagnostic use"
"""Description of every series: what a viewer shows in its list."""
DEMONSTRATION = "DEMONSTRATION, " + NOT_DIAGNOSTIC
"""The same of models without clinical standing."""
SERIES_NUMBERS = {SR: 9901, SEG: 9902, PR: 9903}
"""Above what scanners count to, so that results stand last in a viewer's list."""
OPERATING_POINT = Code("operating-point", PRIVATE_SCHEME, "Operating point")
"""Probability from which the finding counts as present."""
PROCEDURES = {
    "CR": codes.LN.XRUnspecifiedBodyRegion,
    "DX": codes.LN.XRUnspecifiedBodyRegion,
    "CT": codes.LN.CTUnspecifiedBodyRegion,
    "MR": codes.LN.MRIUnspecifiedBodyRegion,
}
"""Procedure reported (CID 100) by modality."""
OTHER_PROCEDURE = Code("other-imaging", PRIVATE_SCHEME, "Imaging procedure")
"""Modalities that CID 100 has no code for."""
LAYER = "AI"
"""Graphic layer of the presentation states."""

Group = sr.PlanarROIMeasurementsAndQualitativeEvaluations | sr.MeasurementsAndQualitativeEvaluations
"""Measurement group of one finding: with a place (TID 1410) or without (TID 1501)."""


@dataclass(frozen=True, kw_only=True)
class SourceImage:
    """One image that the result read.

    Parameters
    ----------
    instance
        Its pseudonym, as findings name it.
    header
        Its de-identified data set, pixels left out.
    masks
        Where on it, by finding: bool (row, column) in its original pixels.
    """

    instance: str
    header: Dataset
    masks: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)

    @property
    def is_flat(self) -> bool:
        """Whether a place on it needs no frame number: one frame, of no class of several that says nothing of each."""
        plain = (
            "Multi-frame" not in self.header.SOPClassUID.name
            or "SharedFunctionalGroupsSequence" in self.header
        )
        return plain and int(self.header.get("NumberOfFrames") or 1) == 1

    @property
    def is_gray(self) -> bool:
        """Whether a grayscale presentation state may speak of it (PS3.3 §A.33.1)."""
        return str(self.header.get("PhotometricInterpretation", "")).startswith("MONOCHROME")


@dataclass(frozen=True, slots=True)
class Document:
    """One DICOM file.

    Parameters
    ----------
    kind
        `sr`, `seg` or `pr`.
    instance
        Pseudonym of the image it is about; empty for the report, which is about all.
    sop_class_uid
        Its SOP class.
    data
        The file (PS3.10), Explicit VR Little Endian.
    """

    kind: str
    instance: str
    sop_class_uid: str
    data: bytes


def uid_of(*parts: str) -> str:
    """UID that follows from its parts (PS3.5 §B.2)."""
    return f"2.25.{uuid.UUID(deterministic_uuid('dicom', *parts)).int}"


def reported_code(finding: Finding) -> Code:
    """Code of a finding in a document: its own if that is verified, else the private code of its label."""
    if finding.code_verified:
        return Code(finding.code_value, finding.coding_scheme, finding.code_meaning)
    return Code(finding.finding, PRIVATE_SCHEME, finding.code_meaning)


def documents(result: Findings, images: Sequence[SourceImage], predecessor: str = "") -> tuple[Document, ...]:
    """Make every document of a result.

    Parameters
    ----------
    result
        A result that is `analysed`.
    images
        The images it read; at least one.
    predecessor
        Id of the result that this one takes the place of (Predecessor Documents Sequence), or empty.

    Raises
    ------
    ValueError, AttributeError
        A header lacks what its kind of image must have.
    """
    images = [replace(image, header=lean(image.header)) for image in images]
    made = [_finished(report(result, images, predecessor), result, SR, "", images)]
    for image in images:
        here = [each for each in result.findings if each.instance == image.instance and image.is_flat]
        shown = [each for each in here if each.finding in image.masks and image.masks[each.finding].any()]
        boxed = [each for each in here if each.box is not None]
        if shown:
            made.append(_finished(segmentation(result, image, shown), result, SEG, image.instance, [image]))
        if boxed and image.is_gray:
            made.append(_finished(presentation(result, image, boxed), result, PR, image.instance, [image]))
    return tuple(made)


# --- report -------------------------------------------------------------------------------------------------------


def report(result: Findings, images: Sequence[SourceImage], predecessor: str = "") -> Dataset:
    """Comprehensive 3D SR by TID 1500: one group per finding, with its place where it has one (TID 1410), else TID 1501."""
    by_instance = {image.instance: image for image in images}
    groups = [_group(result, each, by_instance[each.instance]) for each in result.findings]
    device = sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=uid_of("device", result.model, result.model_digest),
            name=result.model,
            manufacturer_name=MANUFACTURER,
            model_name=result.model,
        ),
    )
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=device),
        procedure_reported=PROCEDURES.get(result.modality, OTHER_PROCEDURE),
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )
    headers = [image.header for image in images]
    made: Dataset = sr.Comprehensive3DSR(
        evidence=headers,
        content=content[0],
        series_instance_uid=_series_uid(result, SR),
        series_number=SERIES_NUMBERS[SR],
        sop_instance_uid=_instance_uid(result.result_id, SR, ""),
        instance_number=1,
        manufacturer=MANUFACTURER,
        is_complete=result.reason_code != "partial",
        previous_versions=[_reference(predecessor, headers[0])] if predecessor else None,
        series_description=_description(result),
    )
    scheme = Dataset()
    scheme.CodingSchemeDesignator = PRIVATE_SCHEME
    scheme.CodingSchemeName = "Radstream's labels, where no verified code is known"
    scheme.CodingSchemeResponsibleOrganization = MANUFACTURER
    made.CodingSchemeIdentificationSequence = [scheme]
    return made


def _group(result: Findings, finding: Finding, image: SourceImage) -> Group:
    told: dict[str, Any] = {
        "tracking_identifier": sr.TrackingIdentifier(*_tracking(result, finding)),
        "finding_type": reported_code(finding),
        "algorithm_id": sr.AlgorithmIdentification(
            name=result.model,
            version=result.model_version,
            parameters=[f"{name}={value}" for name, value in _parameters(result).items()],
        ),
        "measurements": _measurements(finding),
    }
    header = image.header
    if finding.box is None or not image.is_flat:
        source = sr.SourceImageForMeasurementGroup(header.SOPClassUID, header.SOPInstanceUID)
        return sr.MeasurementsAndQualitativeEvaluations(source_images=[source], **told)
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        referenced_region=_region(finding, finding.box, header), **told
    )


def _measurements(finding: Finding) -> list[sr.Measurement]:
    """What is said of the finding in numbers; of the marked region only what the project's private codes name as that."""
    told = [
        sr.Measurement(codes.DCM.Probability, finding.probability, codes.UCUM.NoUnits),
        sr.Measurement(OPERATING_POINT, round(finding.threshold, 4), codes.UCUM.NoUnits),
    ]
    return told + [
        sr.Measurement(outlines.MARKED[each.name], each.value, outlines.UNITS[each.unit])
        for each in finding.measurements
        if each.name in outlines.MARKED
    ]


def _region(finding: Finding, box: Box, header: Dataset) -> sr.ImageRegion | sr.ImageRegion3D:
    """Outline of a finding of one part, else its box: in the patient where the image says where it lies, else in its pixels."""
    frame = header.get("FrameOfReferenceUID")
    corners = outlines.in_patient(finding)
    if frame and corners is not None:
        return sr.ImageRegion3D(sr.GraphicTypeValues3D.POLYGON, corners, frame)
    source = sr.SourceImageForRegion(header.SOPClassUID, header.SOPInstanceUID)
    return sr.ImageRegion(sr.GraphicTypeValues.POLYLINE, outlines.on_image(finding, box), source)


def _reference(predecessor: str, header: Dataset) -> Dataset:
    """Where an earlier result's report is: its UIDs follow from that result's id."""
    earlier = Dataset()
    earlier.StudyInstanceUID = header.StudyInstanceUID
    earlier.SeriesInstanceUID = uid_of("series", predecessor, SR)
    earlier.SOPClassUID = pydicom.uid.Comprehensive3DSRStorage
    earlier.SOPInstanceUID = _instance_uid(predecessor, SR, "")
    return earlier


# --- segmentation and presentation --------------------------------------------------------------------------------


def segmentation(result: Findings, image: SourceImage, shown: Sequence[Finding]) -> Dataset:
    """BINARY segmentation of one image, one segment per finding: within its outlines."""
    algorithm = hd.AlgorithmIdentificationSequence(
        name=result.model,
        family=codes.DCM.ArtificialIntelligence,
        version=result.model_version,
        source=MANUFACTURER,
        parameters=_parameters(result),
    )
    described = []
    for number, finding in enumerate(shown, start=1):
        tracking_uid, tracking_id = _tracking(result, finding)
        described.append(
            seg.SegmentDescription(
                number,
                finding.finding,
                codes.SCT.MorphologicallyAbnormalStructure,
                reported_code(finding),
                seg.SegmentAlgorithmTypeValues.AUTOMATIC,
                algorithm,
                tracking_uid=tracking_uid,
                tracking_id=tracking_id,
            )
        )
    pixels = np.stack([image.masks[each.finding] for each in shown], axis=-1)[np.newaxis].astype(np.uint8)
    made: Dataset = seg.Segmentation(
        source_images=[image.header],
        pixel_array=pixels,
        segmentation_type=seg.SegmentationTypeValues.BINARY,
        segment_descriptions=described,
        series_instance_uid=_series_uid(result, SEG),
        series_number=SERIES_NUMBERS[SEG],
        sop_instance_uid=_instance_uid(result.result_id, SEG, image.instance),
        instance_number=1,
        content_label="AI_FINDINGS",
        content_description=_description(result),
        series_description=_description(result),
        **_equipment(result),
    )
    if "ImageOrientationPatient" not in image.header:
        made.PatientOrientation = image.header.get("PatientOrientation", "")  # type 2C where no plane says it
    return made


def presentation(result: Findings, image: SourceImage, boxed: Sequence[Finding]) -> Dataset:
    """Grayscale softcopy presentation state: outlines and names on the original image, in any viewer that knows the standard."""
    layer = pr.GraphicLayer(LAYER, order=1, description=_description(result))
    objects, texts = [], []
    for finding in boxed:
        if finding.box is None:
            continue
        tracking_uid, tracking_id = _tracking(result, finding)
        units = pr.AnnotationUnitsValues.PIXEL
        # As our own coordinates: the upper left corner of the first pixel is (0, 0), its lower right one (1, 1) (PS3.3 §C.10.5).
        objects += [
            pr.GraphicObject(
                pr.GraphicTypeValues.POLYLINE,
                np.clip(line, 0, [image.header.Columns, image.header.Rows]),
                units,
                tracking_id=tracking_id,
                tracking_uid=tracking_uid,
            )
            for line in outlines.drawn(finding, finding.box)
        ]
        corner = (float(finding.box.x), float(finding.box.y))
        text = f"AI: {finding.code_meaning} {finding.probability:.0%}"
        texts.append(pr.TextObject(text, units, anchor_point=corner, anchor_point_visible=False))
    made: Dataset = pr.GrayscaleSoftcopyPresentationState(
        referenced_images=[image.header],
        series_instance_uid=_series_uid(result, PR),
        series_number=SERIES_NUMBERS[PR],
        sop_instance_uid=_instance_uid(result.result_id, PR, image.instance),
        instance_number=1,
        content_label="AI_FINDINGS",
        content_description=_description(result),
        graphic_annotations=[
            pr.GraphicAnnotation([image.header], layer, graphic_objects=objects, text_objects=texts)
        ],
        graphic_layers=[layer],
        series_description=_description(result),
        **_equipment(result),
    )
    if "Laterality" not in made:
        made.Laterality = image.header.get("Laterality", "")  # type 2C of paired body parts: unknown
    return made


# --- what they share ----------------------------------------------------------------------------------------------


def _tracking(result: Findings, finding: Finding) -> tuple[str, str]:
    """UID and name under which a finding is followed through the revisions of its study."""
    site, study = result.envelope.site, result.envelope.study
    return uid_of("tracking", site, study, finding.finding), finding.finding


def _parameters(result: Findings) -> dict[str, str]:
    return {"weights": f"sha256:{result.model_digest}", "calibration": result.calibration_version}


def _equipment(result: Findings) -> dict[str, Any]:
    return {
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": result.model,
        "software_versions": result.model_version,
        "device_serial_number": result.model_digest[:16] or "none",
    }


def _description(result: Findings) -> str:
    return DEMONSTRATION if result.demonstration else NOT_DIAGNOSTIC


def _series_uid(result: Findings, kind: str) -> str:
    return uid_of("series", result.result_id, kind)


def _instance_uid(result_id: str, kind: str, instance: str) -> str:
    return uid_of("instance", result_id, kind, instance)


def _finished(
    made: Dataset, result: Findings, kind: str, instance: str, images: Sequence[SourceImage]
) -> Document:
    """File whose bytes follow from the result."""
    known = {uid for image in images for uid in uids(image.header)}
    known |= {str(made.SOPInstanceUID), str(made.SeriesInstanceUID)}
    known |= {_tracking(result, finding)[0] for finding in result.findings}
    known.add(uid_of("device", result.model, result.model_digest))
    for earlier in made.get("PredecessorDocumentsSequence", ()):
        known |= uids(earlier)
    drawn = (uid_of("drawn", result.result_id, kind, instance, str(number)) for number in count())
    settle(made, images[0].header, known, drawn)
    written = BytesIO()
    pydicom.dcmwrite(written, made, enforce_file_format=True)
    return Document(kind, instance, str(made.SOPClassUID), written.getvalue())
