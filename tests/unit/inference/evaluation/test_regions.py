from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from inference.evaluation import regions
from inference.evaluation.calibrate import blank

SURE = 4.0
"""Logit of the map where it is sure."""
ONE, SCATTERED = (replace(blank("probe"), border=0.0, scattered=each) for each in (False, True))


def maps(row, column):
    """A map that is sure of a rectangle, and a mask that is it."""
    height, width, cells, step = 2, 2, 8, 4
    heat = np.full((cells, cells), -SURE, dtype=np.float32)
    heat[row : row + height, column : column + width] = SURE
    heat[row, column] = SURE + 1
    mask = np.zeros((cells * step, cells * step), dtype=bool)
    mask[row * step : (row + height) * step, column * step : (column + width) * step] = True
    return heat, mask


def test_a_map_on_the_finding_is_right_in_every_way():
    heat, mask = maps(2, 3)
    found = regions.compare(heat, mask, ONE)

    assert (found.pointed, found.box_error) == (True, 0.0)
    assert found.overlap > 0.9, "all but the corners, which interpolation rounds off"


@pytest.mark.parametrize(("shift", "within"), [(1, True), (2, False)])
def test_a_box_is_within_a_cell_or_not(shift, within):
    found = regions.compare(maps(2, 2 + shift)[0], maps(2, 2)[1], ONE)

    assert (found.box_error <= 1) is within
    assert found.overlap < 1


def test_a_map_elsewhere_points_at_nothing():
    found = regions.compare(maps(6, 6)[0], maps(0, 0)[1], ONE)

    assert (found.pointed, found.overlap) == (False, 0.0)


def test_a_box_round_one_part_of_a_finding_in_two_is_not_within():
    heat, mask = maps(1, 1)
    other = maps(5, 5)[1]

    assert regions.compare(heat, mask | other, ONE).box_error > 1


def test_the_box_is_held_to_the_last_pixel_however_little_of_a_cell_it_covers():
    heat, mask = maps(2, 2)
    mask[9, 16:23] = True  # a line of one pixel, over one cell and three quarters of the next

    assert regions.compare(heat, mask, ONE).box_error == 7 / 4


def test_a_finding_smaller_than_an_eighth_of_a_cell_still_has_a_place():
    mask = np.zeros((32, 32), dtype=bool)
    mask[9, 9] = True

    assert regions.touched(mask, 8).sum() == 1


def test_a_scattered_finding_is_boxed_as_a_whole():
    (heat, mask), (more, other) = maps(1, 1), maps(5, 5)

    assert regions.compare(np.maximum(heat, more), mask | other, SCATTERED).box_error == 0


def test_a_thin_slanting_finding_is_one():
    heat, mask = np.full((8, 8), -SURE, dtype=np.float32), np.zeros((32, 32), dtype=bool)
    for i in range(1, 6):
        heat[i, i], mask[4 * i : 4 * i + 4, 4 * i : 4 * i + 4] = SURE + i / 10, True
    found = regions.compare(heat, mask, ONE)

    assert found.box_error == 0
    assert found.overlap > 0.6


def test_the_border_and_the_kind_that_fit_most_boxes_are_chosen():
    heat, mask = maps(2, 2)
    heat[2:4, 4:6] = 1.0
    border, scattered = regions.best_border(ONE, [(heat, mask)])

    assert border is not None
    assert border > 1.0
    assert not scattered
    assert regions.best_border(ONE, []) == (None, False)


def test_what_lies_in_two_places_is_called_scattered():
    (heat, mask), (more, other) = maps(0, 0), maps(6, 6)

    assert regions.best_border(ONE, [(np.maximum(heat, more), mask | other)])[1]


def test_froc_rises_with_the_marks_that_are_allowed():
    rng = np.random.default_rng(0)
    images = []
    for i in range(30):
        heat, mask = maps(i % 6, i % 5)
        images.append((heat + rng.uniform(-1, 1) + rng.uniform(0, 3, heat.shape), mask if i % 2 else None))
    curve = regions.froc(images)

    assert [rate for rate, _ in curve] == list(regions.RATES)
    assert [share for _, share in curve] == sorted(share for _, share in curve)
    assert curve[-1][1] > 0.8
