"""The region of a finding: the cells that its box encloses, on the original image."""

from __future__ import annotations

import numpy as np
import pytest

from inference.activation import read_activation, region, strongest_cells
from inference.localisation import strongest_box
from tests.support.results import maps


@pytest.mark.parametrize(("rows", "columns"), [(64, 64), (512, 384), (300, 700)])
def test_a_region_lies_in_the_box_of_its_finding_and_fills_most_of_it(rows: int, columns: int) -> None:
    activation = read_activation(maps(["nodule"], rows, columns))
    covered = region(activation, "nodule")
    box = activation.geometry.to_original(
        strongest_box(activation.probabilities("nodule"), activation.geometry.side)
    )
    assert covered.shape == (rows, columns)
    found_rows, found_columns = np.nonzero(covered)
    slack = max(rows, columns) / 64  # half a pixel of the model's square on either side
    assert box[0] - slack <= found_columns.min()
    assert found_columns.max() <= box[2] + slack
    assert box[1] - slack <= found_rows.min()
    assert found_rows.max() <= box[3] + slack
    assert covered.sum() > 0.7 * (box[2] - box[0]) * (box[3] - box[1])


def test_cells_that_touch_at_a_corner_only_do_not_belong_together() -> None:
    cells = np.array([[0.9, 0.1, 0.8], [0.8, 0.2, 0.1], [0.1, 0.7, 0.6]], np.float32)
    assert strongest_cells(cells).tolist() == [
        [True, False, False],
        [True, False, False],
        [False, False, False],
    ]


def test_a_label_that_the_model_has_not_is_an_error() -> None:
    with pytest.raises(ValueError, match="tuple"):
        read_activation(maps(["nodule"], 8, 8)).probabilities("fracture")
