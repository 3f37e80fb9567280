"""Generated heads: what bleeds, where, and that the patient's millimetres say so."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO

import numpy as np
import pydicom
import pytest

from inference import placement
from inference.geometry import patient_geometry
from inference.training import files, head
from inference.training.phantoms import SyntheticIdentity


@pytest.mark.parametrize("kind", head.SUBTYPES)
def test_a_bleed_is_denser_than_the_brain_it_replaces_and_in_neighbouring_slices(kind):
    made = head.series(head.draw(4, findings=frozenset({kind})), 12, 96)
    clear = head.series(head.draw(4, findings=frozenset()), 12, 96)
    seen = [kind in each.masks for each in made]

    assert any(seen)
    for one, other in zip(made, clear, strict=True):
        if kind in one.masks:
            mask = one.masks[kind] & (other.values > -100)
            assert one.values[mask].mean() > other.values[mask].mean() + 3
            assert (one.masks[head.ANY] >= one.masks[kind]).all()
    first, last = seen.index(True), len(seen) - seen[::-1].index(True)
    assert sum(seen[first:last]) >= last - first - 1


@pytest.mark.parametrize("kind", head.SUBTYPES)
def test_blood_is_marked_within_the_skull_only(kind):
    for seed in (4, 5):
        patient = head.draw(seed, findings=frozenset({kind}))
        for z in np.linspace(head.BOTTOM_MM, head.TOP_MM, 12):
            rho = head._plane(patient, float(z), 96).rho
            mask = head.cut(patient, float(z), 96).masks.get(kind)
            assert mask is None or rho[mask].max() < 1


@pytest.mark.parametrize("kind", ["epidural", "subdural", "intraparenchymal"])
def test_a_place_has_one_kind_of_bleeding(kind):
    drawn = head.draw(4, findings=frozenset({kind, "subarachnoid"}))
    bleeds = tuple(replace(each, x=52.0, y=0.0, z=10.0, angle=0.0) for each in drawn.bleeds)
    folds = tuple(each for each in bleeds if each.kind == "subarachnoid")
    masks = head.cut(replace(drawn, bleeds=bleeds), 10.0).masks
    alone = head.cut(replace(drawn, bleeds=folds), 10.0).masks

    covered, shared = masks[kind] & alone["subarachnoid"], masks[kind] & masks["subarachnoid"]
    assert shared.sum() < 0.1 * covered.sum()


def test_blood_in_folds_is_marked_where_it_is_denser_than_the_cortex_and_clear_of_the_skull():
    bleeding = frozenset({"subarachnoid"})
    for seed in range(4, 10):
        patient = replace(head.draw(seed, findings=bleeding), noise=0.0, blur=0.0)
        (bleed,) = patient.bleeds
        made, plane = head.cut(patient, bleed.z, 192), head._plane(patient, bleed.z, 192)
        mask = made.masks["subarachnoid"]
        assert plane.depth[mask].min() >= head.LEAST_THICK_MM
        assert np.median(made.values[mask]) > head.GREY


def test_blood_in_the_cistern_runs_through_all_of_it():
    seen = 0
    for seed in range(4, 24):
        patient = head.draw(seed, findings=frozenset({"subarachnoid"}))
        mask = head.cut(patient, -12.0, 192).masks.get("subarachnoid")
        plane = head._plane(patient, -12.0, 192)
        middle = head._basal(plane) > 0.4
        if mask is not None and mask[middle].any():
            assert all(mask[middle & (way * at > 0)].any() for way in (-1, 1) for at in (plane.x, plane.y))
            seen += 1

    assert seen > 2


def test_specks_are_no_part_of_a_finding():
    mask = np.zeros((8, 8), dtype=bool)
    mask[1:3, 1:3] = mask[6, 6] = True

    kept = head._without_specks(mask, 4)

    assert kept[1:3, 1:3].all()
    assert kept.sum() == 4


def test_there_is_air_bone_and_brain():
    values = head.cut(head.draw(1), 10).values

    assert values.dtype == np.int16
    assert values.min() < -950
    assert values.max() > 900
    assert 20 < np.median(values[80:112, 80:112]) < 45


def test_a_slice_is_the_same_each_time():
    assert (head.cut(head.draw(2), 12.5, 64).values == head.cut(head.draw(2), 12.5, 64).values).all()


def test_a_finding_nobody_draws_is_refused():
    with pytest.raises(ValueError, match="no such finding"):
        head.draw(1, findings=frozenset({"fracture"}))


def test_a_bleed_is_found_in_the_patient_where_the_phantom_put_it():
    who = SyntheticIdentity("Probe^Synthetic", "P1", "A1", "19700101", "F", datetime(2026, 1, 2, tzinfo=UTC))
    kind = frozenset({"intraparenchymal"})
    patient = head.draw(3, findings=kind)
    (bleed,) = patient.bleeds
    made = head.series(patient, files.SLICES, 256)
    number = int(np.argmin([abs(each.z - bleed.z) for each in made]))
    header = pydicom.dcmread(BytesIO(files.head_ct(3, who, findings=kind)[number]), stop_before_pixels=True)
    rows, columns = np.nonzero(made[number].masks["intraparenchymal"])
    where = patient_geometry(header)
    assert where is not None
    (middle,) = placement.contour_in_patient(((columns.mean() + 0.5, rows.mean() + 0.5),), where)
    c, s = np.cos(patient.tilt), np.sin(patient.tilt)
    x = c * bleed.x - s * bleed.y + patient.shift[0]
    y = s * bleed.x + c * bleed.y + patient.shift[1]

    np.testing.assert_allclose(middle[:2], (x, y), atol=4)
    assert abs(middle[2] - made[number].z) < 0.01
