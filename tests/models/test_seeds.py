from __future__ import annotations

import pytest

from inference.training import seeds


def test_more_images_than_a_purpose_has_are_refused():
    with pytest.raises(ValueError, match="between 1 and"):
        seeds.training(len(seeds.TRAINING) + 1)


@pytest.mark.parametrize("seed", [-1, 1 << 62])
def test_an_absurd_seed_is_refused(seed):
    with pytest.raises(ValueError, match="0 or more"):
        seeds.measuring(10, seed)


def test_each_seed_of_an_evaluation_has_images_of_its_own():
    assert seeds.measuring(seeds.PER_SEED, 3).stop == seeds.measuring(1, 4).start
