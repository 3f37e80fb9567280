from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference import localisation
from inference.evaluation.calibrate import blank
from inference.geometry import Geometry


def cells(*lit, weak=()):
    made = np.full((8, 8), 0.01, dtype=np.float32)
    for at in lit:
        made[at] = 0.9
    for at in weak:
        made[at] = 0.3
    return made


def logits(probabilities):
    return np.log(probabilities / (1 - probabilities))


def label(**changes):
    return replace(blank("probe"), **changes)


def logit_map(*sure, weak=()):
    """Logits: 4 where it is sure, -1 where it is weak, else -4."""
    made = np.full((8, 8), -4, dtype=np.float32)
    for at in weak:
        made[at] = -1
    for at in sure:
        made[at] = 4
    return made


@pytest.mark.parametrize(
    ("map_", "box"),
    [
        (logit_map((2, 3)), (96, 64, 128, 96)),
        (logit_map((2, 3), (2, 4), (3, 4)), (96, 64, 160, 128)),
        (logit_map((2, 3), (7, 7)), (96, 64, 128, 96)),
        (logit_map((2, 3), (3, 4)), (96, 64, 160, 128)),
        (logit_map((2, 3), weak=[(2, 4)]), (96, 64, 136, 96)),
        (logit_map((0, 0), (7, 7)), (0, 0, 32, 32)),
    ],
    ids=[
        "one cell",
        "its neighbours",
        "not what is elsewhere",
        "over a corner",
        "a part of what is weak",
        "at the edge",
    ],
)
def test_the_box_surrounds(map_, box):
    assert localisation.region_box(localisation.marked(map_, label(border=0.0)), 256) == box


@pytest.mark.parametrize(
    ("border", "left", "right"), [(0.0, 64, 128), (2.0, 72, 120), (-2.0, 56, 136), (-3.9, 48, 144)]
)
def test_the_border_is_drawn_where_it_runs_through_the_cells(border, left, right):
    map_ = np.full((8, 8), -4, dtype=np.float32)
    map_[:, 2:4] = 4
    region = localisation.marked(map_, label(border=border))

    assert localisation.region_box(region, 256) == (left, 0, right, 256)


@pytest.mark.parametrize(
    ("border", "scattered", "box"),
    [
        (0.0, False, (96, 64, 136, 96)),
        (-2.0, False, (88, 56, 152, 104)),
        (0.0, True, (96, 64, 256, 256)),
        (9.0, False, (112, 72, 120, 88)),
        (None, False, (96, 64, 136, 96)),
    ],
)
def test_the_label_says_what_of_the_map_is_marked(border, scattered, box):
    map_ = logit_map((2, 3), (7, 7), weak=[(2, 4)])
    map_[2, 3] = 5
    region = localisation.marked(map_, label(border=border, scattered=scattered))

    assert localisation.region_box(region, 256) == box


def test_the_parts_of_a_region_are_outlined_the_largest_first():
    region = np.zeros((8, 8), dtype=bool)
    for at in ((0, 0), (3, 3), (3, 4), (6, 0), (6, 1), (6, 2), (0, 7)):
        region[at] = True
    lines = localisation.contours(region, 8)

    assert [max(x for x, _ in line) - min(x for x, _ in line) for line in lines] == [3, 2, 1]


@given(st.integers(0, 7), st.integers(0, 7))
def test_the_heat_is_where_the_cell_is(row, column):
    heat = localisation.heat_map(cells((row, column)), 256)

    y, x = np.unravel_index(int(heat.argmax()), heat.shape)
    assert row * 32 <= y < row * 32 + 32
    assert column * 32 <= x < column * 32 + 32
    assert 0 <= heat.min() <= heat.max() <= 1


@pytest.mark.parametrize(
    ("lit", "line"),
    [
        ([(2, 3)], [(96, 64), (128, 64), (128, 96), (96, 96)]),
        ([(2, 3), (2, 4)], [(96, 64), (160, 64), (160, 96), (96, 96)]),
        (
            [(2, 3), (3, 4)],
            [(96, 64), (128, 64), (128, 96), (160, 96), (160, 128), (128, 128), (128, 96), (96, 96)],
        ),
        ([(2, 3), (3, 3), (3, 4)], [(96, 64), (128, 64), (128, 96), (160, 96), (160, 128), (96, 128)]),
    ],
    ids=["one cell", "a row", "over a corner", "a corner"],
)
def test_the_contour_follows_the_sides_of_the_region_clockwise(lit, line):
    region = np.zeros((8, 8), dtype=bool)
    for at in lit:
        region[at] = True
    assert list(localisation.contour(region, 256)) == line


@given(st.integers(0, 2**32 - 1))
def test_a_contour_lies_within_its_box_and_touches_all_four_sides(seed):
    heat = np.random.default_rng(seed).uniform(size=(8, 8)).astype(np.float32)
    region = localisation.marked(logits(heat), label())
    line = localisation.contour(region, 256)
    x0, y0, x1, y1 = localisation.region_box(region, 256)

    assert 4 <= len(line) <= localisation.MOST_CORNERS
    assert (min(x for x, _ in line), max(x for x, _ in line)) == (x0, x1)
    assert (min(y for _, y in line), max(y for _, y in line)) == (y0, y1)


def test_parts_that_touch_by_a_corner_are_one():
    region = np.zeros((8, 8), dtype=bool)
    region[2, 3] = region[3, 4] = region[3, 6] = True

    assert [int(part.sum()) for part in localisation.connected(region)] == [2, 1]


@given(st.integers(200, 3000), st.integers(200, 3000), st.floats(0, 256), st.floats(0, 256))
def test_model_pixels_come_back_from_original_ones(rows, columns, x, y):
    scale = 256 / max(rows, columns)
    geometry = Geometry(
        rows, columns, 256, scale, (256 - round(columns * scale)) // 2, (256 - round(rows * scale)) // 2
    )
    matrix = geometry.matrix()
    there = matrix @ np.array([x, y, 1.0])

    np.testing.assert_allclose(np.linalg.solve(matrix, there)[:2], (x, y), atol=1e-6)
