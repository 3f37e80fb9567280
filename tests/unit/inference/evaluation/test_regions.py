from __future__ import annotations

import numpy as np
import pytest

from inference.evaluation import regions


def maps(row, column):
    """A map that is sure of a rectangle, and a mask that is it."""
    height, width, cells, step = 2, 2, 8, 4
    heat = np.full((cells, cells), 0.01, dtype=np.float32)
    heat[row : row + height, column : column + width] = 0.9
    heat[row, column] = 0.95
    mask = np.zeros((cells * step, cells * step), dtype=bool)
    mask[row * step : (row + height) * step, column * step : (column + width) * step] = True
    return heat, mask


def test_a_map_on_the_finding_is_right_in_every_way():
    heat, mask = maps(2, 3)
    found = regions.compare(heat, mask, 0.5)

    assert (found.pointed, found.overlap, found.box_error) == (True, 1.0, 0.0)


@pytest.mark.parametrize(("shift", "within"), [(1, True), (2, False)])
def test_a_box_is_within_a_cell_or_not(shift, within):
    found = regions.compare(maps(2, 2 + shift)[0], maps(2, 2)[1], 0.5)

    assert (found.box_error <= 1) is within
    assert found.overlap < 1


def test_a_map_elsewhere_points_at_nothing():
    found = regions.compare(maps(6, 6)[0], maps(0, 0)[1], 0.5)

    assert (found.pointed, found.overlap) == (False, 0.0)


def test_of_a_finding_in_two_parts_the_one_that_is_boxed_counts():
    heat, mask = maps(1, 1)
    other = maps(5, 5)[1]

    assert regions.compare(heat, mask | other, 0.5).box_error == 0


def test_a_finding_smaller_than_a_quarter_of_a_cell_still_has_a_place():
    mask = np.zeros((32, 32), dtype=bool)
    mask[9, 9] = True

    assert regions.touched(mask, 8).sum() == 1


def test_the_share_that_fits_most_boxes_is_chosen():
    heat, mask = maps(2, 2)
    heat[2:4, 4] = 0.4

    assert regions.best_share([(heat, mask)]) >= 0.5
    assert regions.best_share([]) == 0.5


def test_froc_rises_with_the_marks_that_are_allowed():
    rng = np.random.default_rng(0)
    images = []
    for i in range(30):
        heat, mask = maps(i % 6, i % 5)
        images.append((heat * rng.uniform(0.3, 1) + rng.uniform(0, 0.4, heat.shape), mask if i % 2 else None))
    curve = regions.froc(images)

    assert [rate for rate, _ in curve] == list(regions.RATES)
    assert [share for _, share in curve] == sorted(share for _, share in curve)
    assert curve[-1][1] > 0.8
