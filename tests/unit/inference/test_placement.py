from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference import placement
from inference.geometry import PatientGeometry


def geometry(seed=0):
    """A slice that is turned, scaled and shifted."""
    rng = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    matrix = np.eye(4)
    matrix[:3, :3] = turn * rng.uniform(0.3, 5, 3)
    matrix[:3, 3] = rng.uniform(-400, 400, 3)
    return PatientGeometry(matrix, "1.2.3")


@given(
    st.integers(0, 1000), st.lists(st.tuples(st.floats(0, 4000), st.floats(0, 4000)), min_size=1, max_size=64)
)
def test_a_contour_comes_back_from_the_patient_within_a_hundredth_of_a_millimetre(seed, line):
    where = geometry(seed)
    there = placement.contour_in_patient(tuple(line), where)
    back = placement.contour_in_image(there, where)
    again = placement.contour_in_patient(back, where)

    assert np.abs(again - there).max() < 0.01
    np.testing.assert_allclose(back, line, atol=1e-6)


def test_the_corner_of_the_first_pixel_lies_half_a_pixel_before_its_centre():
    matrix = np.diag([0.5, 2.0, 5.0, 1.0])
    matrix[:3, 3] = (10, 20, 30)
    corners = placement.box_in_patient((0, 0, 2, 1), PatientGeometry(matrix, ""))

    assert corners.tolist() == [[9.75, 19, 30], [10.75, 19, 30], [10.75, 21, 30], [9.75, 21, 30]]


def test_the_area_of_a_box_is_its_sides_in_millimetres():
    matrix = np.diag([0.5, 2.0, 5.0, 1.0])

    area = placement.area_mm2(((0, 0), (4, 0), (4, 3), (0, 3)), PatientGeometry(matrix, ""))
    assert area == pytest.approx(4 * 0.5 * 3 * 2)


@given(
    st.integers(0, 1000), st.lists(st.tuples(st.floats(0, 4000), st.floats(0, 4000)), min_size=3, max_size=64)
)
def test_what_an_event_carries_comes_back_within_a_hundredth_of_a_millimetre(seed, line):
    where = geometry(seed)
    pixels = placement.rounded(line)
    patient = placement.rounded(placement.contour_in_patient(tuple(line), where))
    again = placement.contour_in_patient(placement.contour_of(pixels), where)

    assert np.abs(again - placement.corners_of(patient)).max() < 0.01
    back = placement.contour_in_image(placement.corners_of(patient), where)
    across = np.linalg.norm(where.matrix[:3, :2], axis=0)
    assert (np.abs(np.array(back) - np.array(line)) * across).max() < 0.01


SQUARE = ((1.0, 1.0), (5.0, 1.0), (5.0, 4.0), (1.0, 4.0))


def test_an_outline_is_filled_where_the_centres_of_pixels_lie_within():
    made = placement.filled([SQUARE, ((6.0, 0.6), (8.0, 0.6), (8.0, 1.4), (6.0, 1.4))], 6, 8)

    assert np.argwhere(made).tolist() == [[row, column] for row in (1, 2, 3) for column in (1, 2, 3, 4)]


def test_two_cells_that_touch_by_a_corner_are_filled_and_nothing_between_them():
    line = ((0, 0), (2, 0), (2, 2), (4, 2), (4, 4), (2, 4), (2, 2), (0, 2))

    assert (
        placement.filled([line], 4, 4).tolist() == np.kron(np.eye(2), np.ones((2, 2))).astype(bool).tolist()
    )


def test_a_slice_is_measured_in_the_patient_and_a_projection_on_its_detector():
    where = PatientGeometry(np.diag([0.5, 2.0, 5.0, 1.0]), "")
    in_slice = placement.measured([SQUARE], where, None)
    projected = placement.measured([SQUARE, SQUARE], None, (2.0, 0.5))

    assert [(m.name, m.value, m.unit) for m in in_slice] == [
        ("marked_area", 12.0, "mm2"),
        ("marked_extent", round(float(np.hypot(2, 6)), 1), "mm"),
    ]
    assert [(m.name, m.value) for m in projected] == [
        ("marked_area_on_detector", 24.0),
        ("marked_extent_on_detector", round(float(np.hypot(2, 6)), 1)),
    ]
    assert placement.measured([SQUARE], None, None) == ()
    assert placement.measured([], where, None) == ()
