from __future__ import annotations

import numpy as np
import pytest

from inference.evaluation import conformal
from inference.evaluation.metrics import proves, sigmoid


def drawn(count, *, spread, seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(-1, spread, count)
    return sigmoid(logits), rng.uniform(size=count) < sigmoid(logits)


@pytest.mark.parametrize(
    ("hits", "count", "bound"), [(29, 29, 0.05 ** (1 / 29)), (90, 100, 0.8363), (1, 1, 0.05)]
)
def test_exact_bounds_are_the_known_ones(hits, count, bound):
    assert proves(hits, count, bound - 1e-3)
    assert not proves(hits, count, bound + 1e-3)


def test_nothing_proves_nothing():
    assert not proves(0, 10, 0.01)


def test_both_promises_hold_on_new_images_in_almost_every_calibration():
    p, truth = drawn(20_000, spread=4, seed=999)
    kept_high = kept_low = 0
    for seed in range(100):
        found = conformal.bounds(*drawn(800, spread=4, seed=seed))
        kept_high += found.high_from is None or truth[p >= found.high_from].mean() >= conformal.PPV
        kept_low += found.low_below is None or (~truth[p < found.low_below]).mean() >= conformal.NPV

    assert kept_high >= 95
    assert kept_low >= 95


def test_classes_that_the_data_cannot_support_do_not_exist():
    assert conformal.bounds(*drawn(500, spread=0.3)) == conformal.Bounds(None, None)


def test_too_few_images_support_no_class():
    p = np.linspace(0, 1, 20)

    assert conformal.bounds(p, p > 0.5) == conformal.Bounds(None, None)


def test_easy_data_support_both():
    p, truth = drawn(4000, spread=12)
    found = conformal.bounds(p, truth)

    assert found.high_from is not None
    assert found.low_below is not None
    assert found.low_below < 0.9
