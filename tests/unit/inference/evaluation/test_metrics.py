from __future__ import annotations

import numpy as np
import pytest

from inference.evaluation import metrics

RNG = np.random.default_rng(1)
LOGITS = RNG.normal(0, 2, 4000)
TRUTH = RNG.uniform(size=4000) < metrics.sigmoid(LOGITS)


@pytest.mark.parametrize(
    ("scores", "truth", "area"),
    [([1, 2, 3, 4], [0, 0, 1, 1], 1.0), ([4, 3, 2, 1], [0, 0, 1, 1], 0.0), ([1, 1, 1, 1], [0, 1, 0, 1], 0.5),
     ([1, 2, 2, 3], [0, 0, 1, 1], 0.875)],
)  # fmt: skip
def test_the_area_counts_pairs_in_the_right_order_and_ties_half(scores, truth, area):
    assert metrics.auroc(np.array(scores, dtype=float), np.array(truth, dtype=bool)) == pytest.approx(area)


def test_the_interval_holds_the_area():
    low, high = metrics.bootstrap_interval(LOGITS, TRUTH, draws=50)

    assert low < metrics.auroc(LOGITS, TRUTH) < high


def test_calibration_finds_what_distorted_the_logits():
    temperature, bias, floor = metrics.fit_calibration(3 * (LOGITS - 1), TRUTH, penalty=0)

    assert floor <= 0.01
    np.testing.assert_allclose(3 * (LOGITS - 1) / temperature + bias, LOGITS, atol=0.6)
    calibrated = metrics.sigmoid(3 * (LOGITS - 1) / temperature + bias)
    assert (
        metrics.calibration_error(calibrated, TRUTH)
        < 0.03
        < metrics.calibration_error(metrics.sigmoid(3 * LOGITS), TRUTH)
    )


def test_calibration_finds_how_many_findings_no_image_shows():
    shown = RNG.normal(0, 5, 8000)
    truth = (RNG.uniform(size=8000) < metrics.sigmoid(shown)) | (RNG.uniform(size=8000) < 0.05)

    temperature, bias, floor = metrics.fit_calibration(shown, truth)

    assert floor == pytest.approx(0.05, abs=0.01)
    assert temperature == pytest.approx(1, abs=0.1)
    assert bias == pytest.approx(0, abs=0.2)


def test_calibration_of_a_label_that_comes_apart_stays_finite():
    temperature, bias, floor = metrics.fit_calibration(
        np.array([-3.0, -2, 2, 3]), np.array([False, False, True, True])
    )

    assert floor == 0
    assert 0 < temperature < 10
    assert abs(bias) < 10


def test_the_threshold_keeps_the_wanted_specificity():
    p = metrics.sigmoid(LOGITS)
    threshold = metrics.threshold_for_specificity(p, TRUTH, 0.95)

    assert 0.94 < (p[~TRUTH] < threshold).mean() < 0.97


def test_perfect_calibration_shows_an_error_by_chance_that_shrinks_with_the_images():
    p = metrics.sigmoid(LOGITS)
    few, many = metrics.chance_error(p[:300]), metrics.chance_error(p)

    assert 0 < many < few < 0.1
    assert metrics.calibration_error(p, TRUTH) < 3 * many
