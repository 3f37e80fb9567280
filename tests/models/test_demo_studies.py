"""Generated studies of the demonstration."""

from __future__ import annotations

import io

import pytest
from pydicom import dcmread

from cli import demo_studies
from cli.demo_studies import GENERATED, PUBLIC, studies


@pytest.mark.parametrize("study", GENERATED[-3:], ids=lambda study: study.exam)
def test_a_generated_study_is_one_series_under_fresh_uids(study: demo_studies.GeneratedStudy) -> None:
    sent = demo_studies._generated(study)
    datasets = [dcmread(io.BytesIO(data)) for data in sent.files]
    assert {dataset.StudyInstanceUID for dataset in datasets} == {sent.study_instance_uid}
    assert len({dataset.SeriesInstanceUID for dataset in datasets}) == 1
    assert len({dataset.SOPInstanceUID for dataset in datasets}) == len(datasets)
    assert [dataset.InstanceNumber for dataset in datasets] == list(range(1, len(datasets) + 1))
    assert {str(dataset.PatientName) for dataset in datasets} == {study.patient_name}


def test_every_run_sends_fresh_uids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_studies, "GENERATED", GENERATED[:1])
    monkeypatch.setattr(demo_studies, "PUBLIC", PUBLIC[:2])
    first, second = list(studies()), list(studies())
    assert [sent.kind for sent in first] == ["synthetic", "public", "public", "damaged"]
    known = {sent.study_instance_uid for sent in first if sent.kind != "damaged"}
    assert len(known) == 3
    assert known.isdisjoint(sent.study_instance_uid for sent in second if sent.kind != "damaged")
