"""Class-activation maps as they are kept."""

from __future__ import annotations

import numpy as np
import pytest

from inference.activation import read_activation
from tests.support.results import maps


def test_a_file_gives_the_maps_and_the_place_that_it_was_made_of() -> None:
    activation = read_activation(maps(["nodule"], 512, 384))

    assert activation.labels == ("nodule",)
    assert (activation.geometry.rows, activation.geometry.columns) == (512, 384)
    assert np.argwhere(activation.probabilities("nodule") > 0.5).min(axis=0).tolist() == [1, 1]


def test_a_label_that_the_model_has_not_is_an_error() -> None:
    with pytest.raises(ValueError, match="tuple"):
        read_activation(maps(["nodule"], 8, 8)).probabilities("fracture")
