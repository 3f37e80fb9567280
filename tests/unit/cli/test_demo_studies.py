"""What the demonstration sends is public or invented, and never twice the same."""

from __future__ import annotations

import io
import re

import pytest
from pydicom import dcmread

from cli import demo_studies
from cli.demo_studies import DAMAGED, GENERATED, PUBLIC, public_file, studies, with_own_uids
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


def test_every_run_sends_fresh_uids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_studies, "GENERATED", GENERATED[:1])
    monkeypatch.setattr(demo_studies, "PUBLIC", PUBLIC[:2])
    first, second = list(studies()), list(studies())
    assert [sent.kind for sent in first] == ["synthetic", "public", "public", "damaged"]
    known = {sent.study_instance_uid for sent in first if sent.kind != "damaged"}
    assert len(known) == 3
    assert known.isdisjoint(sent.study_instance_uid for sent in second if sent.kind != "damaged")


@pytest.mark.parametrize("study", GENERATED[-3:], ids=lambda study: study.exam)
def test_a_generated_study_is_one_series_under_fresh_uids(study: demo_studies.GeneratedStudy) -> None:
    sent = demo_studies._generated(study)
    datasets = [dcmread(io.BytesIO(data)) for data in sent.files]
    assert {dataset.StudyInstanceUID for dataset in datasets} == {sent.study_instance_uid}
    assert len({dataset.SeriesInstanceUID for dataset in datasets}) == 1
    assert len({dataset.SOPInstanceUID for dataset in datasets}) == len(datasets)
    assert [dataset.InstanceNumber for dataset in datasets] == list(range(1, len(datasets) + 1))
    assert {str(dataset.PatientName) for dataset in datasets} == {study.patient_name}


def test_the_damaged_file_really_ends_before_its_pixels_do() -> None:
    dataset = dcmread(io.BytesIO(public_file(DAMAGED)))
    assert len(dataset.PixelData) < dataset.Rows * dataset.Columns * 2
