from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference import localisation


def cells(*lit, weak=()):
    made = np.full((8, 8), 0.01, dtype=np.float32)
    for at in lit:
        made[at] = 0.9
    for at in weak:
        made[at] = 0.3
    return made


@pytest.mark.parametrize(
    ("map_", "box"),
    [
        (cells((2, 3)), (96, 64, 128, 96)),
        (cells((2, 3), (2, 4), (3, 4)), (96, 64, 160, 128)),
        (cells((2, 3), (7, 7)), (96, 64, 128, 96)),
        (cells((2, 3), (3, 4)), (96, 64, 128, 96)),
        (cells((2, 3), weak=[(2, 4)]), (96, 64, 128, 96)),
        (cells((0, 0), (7, 7)), (0, 0, 32, 32)),
    ],
    ids=[
        "one cell",
        "its neighbours",
        "not what is elsewhere",
        "not over a corner",
        "not what is weak",
        "at the edge",
    ],
)
def test_the_box_surrounds(map_, box):
    assert localisation.strongest_box(map_, 256) == box


@given(st.integers(0, 7), st.integers(0, 7))
def test_the_heat_is_where_the_cell_is(row, column):
    heat = localisation.heat_map(cells((row, column)), 256)

    y, x = np.unravel_index(int(heat.argmax()), heat.shape)
    assert row * 32 <= y < row * 32 + 32
    assert column * 32 <= x < column * 32 + 32
    assert 0 <= heat.min() <= heat.max() <= 1
