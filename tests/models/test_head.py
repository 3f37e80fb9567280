"""Generated heads: what bleeds, where, and that the patient's millimetres say so."""

from __future__ import annotations

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
