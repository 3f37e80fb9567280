"""Results as DICOM objects: what they claim, whose they are not, and that they follow from the result alone."""

from __future__ import annotations

import copy
import io
from dataclasses import replace
from typing import Any, cast

import highdicom as hd
import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileDataset
from pydicom.sr._concepts_dict import concepts
from pydicom.uid import UltrasoundImageStorage, UltrasoundMultiFrameImageStorage

from inference import placement
from inference.catalogue import all_models
from inference.geometry import patient_geometry
from inference.settling import elements, uids
from inference.standard_objects import (
    DEMONSTRATION,
    NOT_DIAGNOSTIC,
    PRIVATE_SCHEME,
    SourceImage,
    documents,
    reported_code,
)
from inference.training.files import ultrasound_clip
from schemas.events import Findings, Measurement, Outline
from schemas.identifiers import Pseudonyms, site_key
from tests.support import dicoms, results
from tests.support.context import MASTER

CLIP = ultrasound_clip(5, results.WHO, side=64)
PSEUDONYMS = Pseudonyms(site_key(MASTER, "north"))


def source(raw: bytes, number: int = 1, *labels: str) -> SourceImage:
    """An image behind the border, with regions of these findings."""
    header = pydicom.dcmread(io.BytesIO(results.clean(raw, PSEUDONYMS)), stop_before_pixels=True)
    mask = placement.filled([((2, 2), (8, 2), (8, 8), (2, 8))], header.Rows, header.Columns)
    return SourceImage(instance=f"in-{number}", header=header, masks=dict.fromkeys(labels, mask))


XRAY = source(results.chest_xray(), 1, "pneumothorax")
RESULT = results.result(
    results.present("pneumothorax"),
    results.present(
        "consolidation", box=None, outlines=(), code_verified=False, code_meaning="Consolidation of lung"
    ),
)


def made(
    result: Findings = RESULT, images: tuple[SourceImage, ...] = (XRAY,), before: str = ""
) -> dict[str, Dataset]:
    """Documents by kind."""
    return {each.kind: pydicom.dcmread(io.BytesIO(each.data)) for each in documents(result, images, before)}


def groups(report: Dataset) -> list[Any]:
    """Measurement groups of a report."""
    content = hd.sr.Comprehensive3DSR.from_dataset(report).content
    assert isinstance(content, hd.sr.MeasurementReport)
    return [*content.get_planar_roi_measurement_groups(), *content.get_image_measurement_groups()]


def test_a_report_claims_no_more_than_a_preliminary_unverified_answer() -> None:
    report = made()["sr"]
    assert (report.VerificationFlag, report.PreliminaryFlag, report.CompletionFlag) == (
        "UNVERIFIED",
        "PRELIMINARY",
        "COMPLETE",
    )
    assert made(replace(RESULT, reason_code="partial"))["sr"].CompletionFlag == "PARTIAL"


def test_every_series_says_what_it_is_not_for() -> None:
    assert {each.SeriesDescription for each in made().values()} == {DEMONSTRATION}
    assert {each.SeriesDescription for each in made(replace(RESULT, demonstration=False)).values()} == {
        NOT_DIAGNOSTIC
    }


def test_a_finding_is_told_with_its_place_probability_operating_point_and_algorithm() -> None:
    planar, whole = groups(made()["sr"])
    region_told = planar.roi
    assert region_told.value.tolist() == [[2, 2], [8, 2], [8, 8], [2, 8], [2, 2]]
    for group, name in ((planar, "pneumothorax"), (whole, "consolidation")):
        values = [measurement.value for measurement in group.get_measurements()]
        assert values == [0.9, 0.5]
        assert group.tracking_identifier == name
        texts = {str(item.get("TextValue", "")) for item in group[0].ContentSequence}
        assert {"scripted", f"weights=sha256:{RESULT.model_digest}"} <= texts


LINE = (10.0, 20.0, 40.0, 20.0, 40.0, 60.0)
"""An outline of three corners."""


def outlined(image: SourceImage, *lines: tuple[float, ...]) -> Findings:
    """A finding with outlines on an image, in the patient as well where that says where it lies."""
    where = patient_geometry(image.header)

    def outline(line: tuple[float, ...]) -> Outline:
        corners = placement.contour_of(line)
        mm = () if where is None else placement.rounded(placement.contour_in_patient(corners, where))
        return Outline(pixels=line, patient=mm)

    box = () if where is None else placement.rounded(placement.box_in_patient((2, 2, 8, 8), where))
    marked = (
        Measurement(name="marked_area", value=12.5, unit="mm2"),
        Measurement(name="other", value=1, unit="1"),
    )
    return results.result(
        results.present(
            "pneumothorax", outlines=tuple(map(outline, lines)), box_patient=box, measurements=marked
        )
    )


def test_a_projection_s_outline_is_told_in_its_pixels() -> None:
    (planar,) = groups(made(outlined(XRAY, LINE))["sr"])
    assert planar.roi.value.tolist() == [[10, 20], [40, 20], [40, 60], [10, 20]]


@pytest.mark.parametrize(
    "lines", [(LINE,), (LINE, (100.0, 100.0, 120.0, 100.0, 120.0, 130.0))], ids=["one", "two"]
)
def test_a_slice_s_outline_or_box_is_told_in_the_patient_and_comes_back(lines: tuple[Any, ...]) -> None:
    image = source(results.ct_slices(1)[0], 1, "pneumothorax")
    where = patient_geometry(image.header)
    assert where is not None
    (planar,) = groups(made(outlined(image, *lines), (image,))["sr"])
    back = placement.contour_in_image(planar.roi.value[:-1], where)

    expected = placement.contour_of(LINE) if len(lines) == 1 else ((2, 2), (8, 2), (8, 8), (2, 8))
    np.testing.assert_allclose(back, expected, atol=0.005)
    assert planar.roi.frame_of_reference_uid == image.header.FrameOfReferenceUID


def test_what_was_measured_is_told_as_of_the_marked_region() -> None:
    (planar,) = groups(made(outlined(XRAY, LINE))["sr"])
    told = {m.name.meaning: (m.value, m.unit.value) for m in planar.get_measurements()}
    assert told["Area of the marked region"] == (12.5, "mm2")
    assert len(told) == 3


def test_a_presentation_state_draws_every_outline() -> None:
    more = (100.0, 100.0, 120.0, 100.0, 120.0, 130.0)
    (annotation,) = made(outlined(XRAY, LINE, more))["pr"].GraphicAnnotationSequence
    assert [list(each.GraphicData)[:4] for each in annotation.GraphicObjectSequence] == [
        [10, 20, 40, 20],
        [100, 100, 120, 100],
    ]


def test_a_segmentation_has_the_region_of_each_finding() -> None:
    segments = hd.seg.Segmentation.from_dataset(made()["seg"])
    assert segments.number_of_segments == 1
    pixels = segments.get_pixels_by_source_instance(
        [XRAY.header.SOPInstanceUID], assert_missing_frames_are_empty=True
    )
    assert np.array_equal(pixels[0, ..., 0].astype(bool), XRAY.masks["pneumothorax"])
    assert segments.SegmentSequence[0].SegmentAlgorithmType == "AUTOMATIC"


def test_a_presentation_state_draws_the_box_at_the_edges_of_its_pixels() -> None:
    drawn = made()["pr"].GraphicAnnotationSequence[0]
    assert list(drawn.GraphicObjectSequence[0].GraphicData)[:6] == [2, 2, 8, 2, 8, 8]
    assert drawn.TextObjectSequence[0].UnformattedTextValue == "AI: Pneumothorax 90%"


@pytest.mark.parametrize(
    "empty",
    [{"SpecificCharacterSet": ""}, {"WindowCenter": "0", "WindowWidth": "0"}, {"PixelSpacing": ["0.000", "0.000"]}],
    ids=["character set", "window", "spacing"],
)  # fmt: skip
def test_what_a_source_says_without_saying_anything_stops_no_document(empty) -> None:
    header = copy.deepcopy(XRAY.header)
    for keyword, value in empty.items():
        setattr(header, keyword, value)
    header = pydicom.dcmread(io.BytesIO(dicoms.to_bytes(cast(FileDataset, header))), stop_before_pixels=True)

    found = made(images=(replace(XRAY, header=header),))

    assert set(found) == {"sr", "seg", "pr"}
    told = [each.value for document in found.values() for each in document.iterall() if each.keyword in empty]
    assert all(value not in ("", "0") and list(value) != [0, 0] for value in told)


@pytest.mark.parametrize(
    ("elements", "kinds"),
    [
        ({"SOPClassUID": UltrasoundImageStorage}, {"sr", "seg"}),
        ({"SOPClassUID": UltrasoundMultiFrameImageStorage, "NumberOfFrames": "1"}, {"sr"}),
    ],
    ids=["a colour still, which no grayscale presentation state may speak of", "a clip of one frame"],
)
def test_ultrasound_has_the_documents_that_can_be_made_of_it(elements, kinds) -> None:
    header = pydicom.dcmread(io.BytesIO(results.clean(CLIP, PSEUDONYMS)), stop_before_pixels=True)
    header.Modality = "US"
    for keyword in ("NumberOfFrames", "FrameTime"):
        delattr(header, keyword)
    for keyword, value in elements.items():
        setattr(header, keyword, value)
    mask = np.zeros((header.Rows, header.Columns), bool)
    mask[2:8, 2:8] = True
    image = SourceImage(instance="in-1", header=header, masks={"pneumothorax": mask})

    assert set(made(results.result(results.present("pneumothorax"), modality="US"), (image,))) == kinds


def test_a_finding_is_followed_by_one_uid_through_all_documents_and_revisions() -> None:
    later = made(replace(RESULT, result_id="r2", revision=2))
    seen = set()
    for documents_made in (made(), later):
        seen.add(groups(documents_made["sr"])[0].tracking_uid)
        seen.add(documents_made["seg"].SegmentSequence[0].TrackingUID)
        seen.add(documents_made["pr"].GraphicAnnotationSequence[0].GraphicObjectSequence[0].TrackingUID)
    assert len(seen) == 1


def test_a_later_report_names_the_one_it_takes_the_place_of() -> None:
    first, later = made()["sr"], made(replace(RESULT, result_id="r2"), before="r1")["sr"]
    assert "PredecessorDocumentsSequence" not in first
    named = later.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    assert named.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert named.SeriesInstanceUID == first.SeriesInstanceUID


def test_the_same_result_is_the_same_bytes_and_another_result_has_no_uid_of_it() -> None:
    assert documents(RESULT, [XRAY]) == documents(RESULT, [XRAY])
    shared = uids(XRAY.header)
    follows = {groups(made()["sr"])[0].tracking_uid, groups(made()["sr"])[1].tracking_uid}
    device = {str(e.value) for e in elements(made()["sr"]) if e.VR == "UI"} & {
        str(e.value) for e in elements(made(replace(RESULT, result_id="r2"))["sr"]) if e.VR == "UI"
    }
    for kind, document in made().items():
        again = made(replace(RESULT, result_id="r2"))[kind]
        assert (uids(document) & uids(again)) - shared - follows - device == set()
        assert document.SOPInstanceUID != again.SOPInstanceUID


def test_no_date_but_the_image_s_own_study_date_is_told() -> None:
    for document in made().values():
        days = {str(each.value) for each in elements(document) if each.VR in {"DA", "DT"} and each.value}
        assert days == {XRAY.header.StudyDate}


def test_documents_say_that_they_are_de_identified_and_name_nobody() -> None:
    for each in documents(RESULT, [XRAY]):
        document = pydicom.dcmread(io.BytesIO(each.data))
        assert document.PatientIdentityRemoved == "YES"
        assert document.LongitudinalTemporalInformationModified == "MODIFIED"
        for word in (b"Probe", b"P4711", b"A0815", b"19700101"):
            assert word not in each.data


printable = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-", min_size=6, max_size=12).map("X{}".format)
"""Values that no code of the standard has, which a document may hold of itself."""


@profile(max_examples=8)
@given(value=printable, scheme=st.sampled_from(["SCT", "RADLEX", "DCM", "SRT"]))
def test_a_code_that_nobody_verified_reaches_no_document(value: str, scheme: str) -> None:
    doubtful = results.present(
        "nodule", code_value=value, coding_scheme=scheme, code_verified=False, code_meaning="Nodule"
    )
    image = replace(XRAY, masks={"nodule": XRAY.masks["pneumothorax"]})
    for document in made(results.result(doubtful), (image,)).values():
        told = {
            str(each.value) for each in elements(document) if each.keyword in {"CodeValue", "LongCodeValue"}
        }
        assert value not in told
    assert reported_code(doubtful)[:2] == ("nodule", PRIVATE_SCHEME)


@pytest.mark.parametrize(
    "code",
    [label.code for model in all_models().values() for label in model.SPEC.labels],
    ids=lambda code: code.meaning,
)
def test_a_code_that_a_model_calls_verified_is_in_the_dictionary_of_the_standard(code) -> None:
    known = {str(value) for entry in cast("Any", concepts).get(code.scheme, {}).values() for value in entry}
    assert not code.verified or code.value in known
    assert code.verified or code.scheme == PRIVATE_SCHEME


def test_a_place_on_one_frame_of_many_is_not_told_as_if_there_was_one() -> None:
    many = source(results.other(dicoms.mr_slice()), 1, "pneumothorax")
    many.header.NumberOfFrames = 3
    assert set(made(RESULT, (many,))) == {"sr"}
    assert all(
        not hasattr(group, "roi") or group.roi is None for group in groups(made(RESULT, (many,))["sr"])
    )


def test_faults_of_the_source_that_say_nothing_of_a_finding_are_not_repeated() -> None:
    odd = source(results.chest_xray(), 1, "pneumothorax")
    odd.header.ClinicalTrialProtocolEthicsCommitteeName = ""
    odd.header.ContainerIdentifier = "1"
    odd.header.AdmittingDiagnosesCodeSequence = [Dataset()]
    for document in made(RESULT, (odd,)).values():
        keywords = {each.keyword for each in document}
        assert keywords & {
            "ClinicalTrialProtocolEthicsCommitteeName", "ContainerIdentifier", "AdmittingDiagnosesCodeSequence",
        } == set()  # fmt: skip
        assert document.PatientIdentityRemoved == "YES"
    assert "ContainerIdentifier" in odd.header


def test_each_image_has_its_own_segmentation_and_one_report_speaks_of_all() -> None:
    slices = [source(raw, number, "hemorrhage") for number, raw in enumerate(results.ct_slices(), start=1)]
    told = results.result(
        *(results.present("hemorrhage", f"in-{number}") for number in (1, 2)), images=2, modality="CT"
    )
    kinds = [(each.kind, each.instance) for each in documents(told, slices)]
    assert kinds == [("sr", ""), ("seg", "in-1"), ("pr", "in-1"), ("seg", "in-2"), ("pr", "in-2")]
