"""Every recipe keeps the contract of `inference/training/recipe.py`: the folder is walked."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from inference import demonstration
from inference.catalogue import all_models
from inference.training import seeds
from inference.training.recipe import coarse, digest, truth_of
from inference.training.recipes import all_recipes

RECIPES = all_recipes()
pytestmark = pytest.mark.parametrize("name", sorted(RECIPES))


def test_an_example_is_what_the_model_takes(name):
    recipe = RECIPES[name]
    example = recipe.example(seeds.TRAINING.start)

    assert example.image.shape == (recipe.channels, recipe.side, recipe.side)
    assert example.image.dtype == np.dtype(recipe.dtype)
    assert set(recipe.subgroups) <= set(example.attributes)
    assert recipe.side % recipe.cells == 0


def test_masks_are_where_the_labels_are(name):
    recipe = RECIPES[name]
    for seed in seeds.TRAINING[:6]:
        example = recipe.example(seed)
        lit = coarse(recipe, example).reshape(len(recipe.labels), -1).any(axis=1)
        assert lit.tolist() == truth_of(recipe, example).tolist()
        assert all(mask.shape == (recipe.side, recipe.side) for mask in example.masks.values())


def test_the_uses_of_seeds_are_disjoint(name):
    recipe = RECIPES[name]
    used = (
        seeds.DEMONSTRATION,
        seeds.training(recipe.training_images),
        seeds.calibration(recipe.calibration_units),
        seeds.measuring(recipe.test_units, None),
        seeds.measuring(1000, 0),
        seeds.measuring(1000, 1),
    )
    for one, other in itertools.combinations(used, 2):
        assert one.stop <= other.start or other.stop <= one.start


def test_the_written_weights_used_these_seeds_and_these_pictures(name):
    recipe, told = RECIPES[name], demonstration.read(all_models()[name].SPEC.file)

    assert told["seeds"]["training"] == [seeds.TRAINING.start, seeds.TRAINING.start + recipe.training_images]
    assert told["seeds"]["calibration"][0] == seeds.CALIBRATION.start
    assert told["seeds"]["test"][0] == seeds.TEST.start
    assert told["generator_version"] == recipe.generator_version
    assert all_models()[name].SPEC.version == told["measured"]["version"] == recipe.version
    assert list(told["labels"]) == list(recipe.labels)


def test_a_seed_gives_the_same_digest_each_time_and_another_one_another(name):
    recipe = RECIPES[name]
    first = seeds.TRAINING[:2]

    assert digest(recipe, first) == digest(recipe, first)
    assert digest(recipe, first) != digest(recipe, seeds.TRAINING[2:4])
