from __future__ import annotations

import itertools
from datetime import UTC, datetime
from io import BytesIO

import numpy as np
import pydicom
import pytest

from inference.training import seeds
from inference.training.phantoms import LABELS, SyntheticIdentity, generate, to_dicom

WHO = SyntheticIdentity(
    "Probe^Synthetic", "P1", "A1", "19700302", "F", datetime(2026, 3, 1, 9, 5, tzinfo=UTC), priority="STAT"
)


def test_no_seed_serves_two_purposes():
    purposes = (seeds.DEMONSTRATION, seeds.TRAINING, seeds.CALIBRATION, seeds.TEST)

    for one, other in itertools.combinations(purposes, 2):
        assert one.stop <= other.start or other.stop <= one.start


def test_a_seed_gives_the_same_picture_each_time():
    np.testing.assert_array_equal(
        generate(5, rows=128, columns=128).pixels, generate(5, rows=128, columns=128).pixels
    )
    assert (generate(5, rows=128, columns=128).pixels != generate(6, rows=128, columns=128).pixels).any()


@pytest.mark.parametrize("label", LABELS)
def test_a_finding_has_a_place_and_changes_the_picture_there_more_than_elsewhere(label):
    phantom = generate(9, rows=256, columns=256, findings=frozenset({label}))
    clear = generate(9, rows=256, columns=256, findings=frozenset())

    assert phantom.labels == {label}
    mask = phantom.masks[label]
    assert 10 < mask.sum() < mask.size / 3
    changed = np.abs(phantom.pixels.astype(float) - clear.pixels)
    assert changed[mask].mean() > 1.5 * changed[~mask].mean()


@pytest.mark.parametrize("seed", range(40, 46))
def test_hardly_visible_consolidation_is_marked_where_it_changes_the_picture_most(seed):
    chest, bare = (
        generate(seed, rows=128, columns=128, findings=frozenset(findings), conspicuity=0.0)
        for findings in ({"consolidation"}, ())
    )

    mask = chest.masks["consolidation"]
    changed = np.abs(chest.pixels.astype(float) - bare.pixels)
    assert 0 < mask.sum() < mask.size / 6
    assert changed[mask].mean() > changed[~mask].mean()


def test_a_finding_nobody_draws_is_refused():
    with pytest.raises(ValueError, match="no such finding"):
        generate(1, findings=frozenset({"fracture"}))


def test_findings_come_about_as_often_as_they_should():
    shares = np.mean(
        [[name in generate(s, rows=64, columns=64).labels for name in LABELS] for s in range(80)], axis=0
    )

    assert np.all((shares > 0.05) & (shares < 0.42))


def test_pictures_use_the_stored_bits_and_no_more():
    pixels = generate(3).pixels

    assert pixels.dtype == np.uint16
    assert 3000 < int(pixels.max()) <= 4095
    assert pixels.std() > 400


def test_the_file_is_a_digital_x_ray_marked_synthetic():
    data = pydicom.dcmread(BytesIO(to_dicom(generate(3), WHO)))

    assert data.file_meta.MediaStorageSOPClassUID.name == "Digital X-Ray Image Storage - For Presentation"
    assert (data.Manufacturer, data.ImageComments) == ("Radstream synthetic", "Synthetic image, no patient")
    assert (data.PatientName, data.PatientID, data.PatientAge) == ("Probe^Synthetic", "P1", "055Y")
    assert (data.StudyDate, data.StudyTime, data.RequestedProcedurePriority) == ("20260301", "090500", "STAT")
    np.testing.assert_array_equal(data.pixel_array, generate(3).pixels)


def test_uids_follow_from_the_seed_or_from_the_caller():
    one, same, other = (
        pydicom.dcmread(BytesIO(to_dicom(generate(s, rows=128, columns=128), WHO))) for s in (1, 1, 2)
    )
    given = pydicom.dcmread(BytesIO(to_dicom(generate(1, rows=128, columns=128), WHO, study_uid="1.2.3")))

    assert one.SOPInstanceUID == same.SOPInstanceUID
    assert not {one.StudyInstanceUID, one.SeriesInstanceUID, one.SOPInstanceUID} & {
        other.StudyInstanceUID, other.SeriesInstanceUID, other.SOPInstanceUID
    }  # fmt: skip
    assert given.StudyInstanceUID == "1.2.3"
    assert one.StudyInstanceUID.is_valid
