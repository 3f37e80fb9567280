"""What the demonstration sends is public or invented, and never twice the same."""

from __future__ import annotations

import io
import re

import pytest
from pydicom import dcmread

from cli import demo_studies
from cli.demo_studies import DAMAGED, GENERATED, PUBLIC, public_file, with_own_uids
from inference.training.seeds import DEMONSTRATION


@pytest.mark.parametrize("name", [*(study.file for study in PUBLIC), DAMAGED])
def test_a_public_file_comes_with_pydicom(name: str) -> None:
    assert public_file(name)


def test_there_are_enough_studies_of_either_kind_from_two_sites() -> None:
    assert len(PUBLIC) >= 8
    assert len(GENERATED) >= 4
    assert {study.site for study in (*PUBLIC, *GENERATED)} == {"north", "south"}
    titles = " ".join(study.title for study in PUBLIC)
    assert all(re.search(rf"\b{modality}\b", titles) for modality in ("CT", "MR", "US"))


@pytest.mark.parametrize("study", GENERATED, ids=lambda study: str(study.seed))
def test_a_generated_study_is_none_that_a_model_has_seen(study: demo_studies.GeneratedStudy) -> None:
    assert study.seed in DEMONSTRATION


def test_seeds_and_patients_are_each_used_once() -> None:
    assert len({study.seed for study in GENERATED}) == len(GENERATED)
    assert len({study.patient_name for study in GENERATED}) == len(GENERATED)


def test_copies_of_a_file_share_study_and_series_and_nothing_with_the_original() -> None:
    original = dcmread(io.BytesIO(public_file("CT_small.dcm")))
    study_uid, files = with_own_uids(public_file("CT_small.dcm"), 3, "PUB1")
    copies = [dcmread(io.BytesIO(data)) for data in files]
    assert {copy.StudyInstanceUID for copy in copies} == {study_uid}
    assert len({copy.SeriesInstanceUID for copy in copies}) == 1
    assert len({copy.SOPInstanceUID for copy in copies}) == 3
    assert all(copy.SOPInstanceUID == copy.file_meta.MediaStorageSOPInstanceUID for copy in copies)
    uids = {
        uid for copy in copies for uid in (copy.StudyInstanceUID, copy.SeriesInstanceUID, copy.SOPInstanceUID)
    }
    assert uids.isdisjoint({original.StudyInstanceUID, original.SeriesInstanceUID, original.SOPInstanceUID})
    assert all(copy.PixelData == original.PixelData for copy in copies)


def test_the_damaged_file_really_ends_before_its_pixels_do() -> None:
    dataset = dcmread(io.BytesIO(public_file(DAMAGED)))
    assert len(dataset.PixelData) < dataset.Rows * dataset.Columns * 2
