from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from inference.catalogue import all_models
from inference.evaluation import measure
from inference.training.recipes import all_recipes

NAME = "brain_mr_demo"


@pytest.mark.parametrize("pixels", [0, 9])
def test_a_finding_that_shows_too_little_to_be_marked_is_there_without_a_place(pixels):
    spec, recipe = all_models()[NAME].SPEC, all_recipes()[NAME]
    mask = np.zeros((recipe.side, recipe.side), dtype=bool)
    mask.flat[:pixels] = True
    example = replace(recipe.example(0), masks={recipe.labels[0]: mask})
    (found,) = measure.answers(spec.weights(), replace(recipe, unit=lambda _: (example,)), spec.pooling, [0])
    told = measure.figures(spec, recipe, [found])["labels"][recipe.labels[0]]

    assert told["positives"] == 1
    assert (found.masks[0] is not None) is bool(pixels)
    assert (told["localisation"]["pointing"] is not None) is bool(pixels)


def test_boxes_of_all_labels_together_are_counted_by_box_not_by_label():
    labels = ({"boxes": 30, "box_within_a_cell": 0.9}, {"boxes": 10, "box_within_a_cell": 0.5})
    none = {"boxes": 0, "box_within_a_cell": None}

    assert measure._all_boxes([*labels, none]) == {"boxes": 40, "box_within_a_cell": 0.8}
    assert measure._all_boxes([none]) == {"boxes": 0, "box_within_a_cell": None}
