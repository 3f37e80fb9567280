from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from inference.drift import Drift, Reference, image_statistics
from tests.support.ct import head


@lru_cache(maxsize=1)
def reference():
    return Reference.of([image_statistics(head(seed)[None]) for seed in range(150)])


def first_flag(images, wanted):
    """After how many images the statistic is flagged; one more than there are, if never."""
    drift = Drift()
    for count, image in enumerate(images, 1):
        drift = drift.after(image_statistics(image[None]), reference())
        if wanted in drift.flagged():
            return count
    return len(images) + 1


def test_an_offset_of_five_hounsfield_units_is_flagged_within_fifty_images():
    assert first_flag([head(seed, offset=5) for seed in range(1000, 1050)], "level") <= 50


def test_an_offset_downwards_is_flagged_as_well():
    assert first_flag([head(seed, offset=-5) for seed in range(1000, 1050)], "level") <= 50


def test_more_noise_is_flagged_within_three_hundred_images():
    assert first_flag([head(seed, noise=8) for seed in range(1000, 1060)], "noise") <= 300


def test_images_like_the_reference_raise_no_alarm():
    alarms = 0
    for start in range(2000, 2400, 50):
        drift = Drift()
        for seed in range(start, start + 50):
            drift = drift.after(image_statistics(head(seed)[None]), reference())
        alarms += bool(drift.flagged())

    assert alarms == 0


def test_chance_alone_raises_at_most_one_alarm_in_a_hundred_runs():
    names = ("level", "spread", "noise")
    told = Reference(dict.fromkeys(names, 0.0), dict.fromkeys(names, 1.0))
    rng = np.random.default_rng(5)
    alarms = 0
    for _ in range(100):
        drift, flagged = Drift(), False
        for row in rng.normal(size=(300, 3)):
            drift = drift.after(dict(zip(names, row.tolist(), strict=True)), told)
            flagged = flagged or bool(drift.flagged())
        alarms += flagged

    assert alarms <= 1


def test_one_foreign_body_is_no_drift():
    told = Reference({"level": 0.0}, {"level": 1.0})

    assert not Drift().after({"level": 1e6}, told).flagged()


def test_a_handful_of_images_is_no_reference():
    with pytest.raises(ValueError):
        Reference.of([{"level": 1.0}] * 10)


def test_the_noise_of_an_image_is_measured_in_its_own_units():
    picture = np.random.default_rng(1).normal(20_000, 300, (1, 256, 256)).astype(np.uint16)

    assert image_statistics(picture)["noise"] == pytest.approx(300, rel=0.05)
