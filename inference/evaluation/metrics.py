"""Figures that a model card states, and the calibration they are stated after."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating]

FLOORS = tuple(i / 200 for i in range(41))
"""Shares of findings among images of which a model sees nothing that calibration may settle on: 0 to 20 %."""


def sigmoid(logits: Values) -> Values:
    """Logistic function, safe for large arguments."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * logits)))


def auroc(scores: Values, truth: NDArray[np.bool_]) -> float:
    """Chance that a positive scores above a negative, ties counted half. Needs one of each."""
    order = np.argsort(scores, kind="stable")
    ranks = np.empty(len(scores))
    _, starts, counts = np.unique(scores[order], return_index=True, return_counts=True)
    ranks[order] = np.repeat(starts + (counts + 1) / 2, counts)
    positives, negatives = int(truth.sum()), int((~truth).sum())
    return float((ranks[truth].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def bootstrap_interval(scores: Values, truth: NDArray[np.bool_], *, draws: int = 400) -> tuple[float, float]:
    """95 % interval of the AUROC from seeded resampling within positives and negatives."""
    rng = np.random.default_rng(0)
    yes, no = np.flatnonzero(truth), np.flatnonzero(~truth)
    values = []
    for _ in range(draws):
        pick = np.concatenate([rng.choice(yes, len(yes)), rng.choice(no, len(no))])
        values.append(auroc(scores[pick], truth[pick]))
    low, high = np.percentile(values, (2.5, 97.5))
    return float(low), float(high)


BINS, PER_BIN = 15, 100
"""Most bins of a calibration curve, and fewest images in one: fewer say more about chance than about calibration."""


def reliability(probabilities: Values, truth: NDArray[np.bool_]) -> list[tuple[float, float, int]]:
    """Mean probability, share of positives and number of images, in bins that hold equally many images."""
    bins = max(1, min(BINS, len(probabilities) // PER_BIN))
    parts = np.array_split(np.argsort(probabilities, kind="stable"), bins)
    return [(float(probabilities[p].mean()), float(truth[p].mean()), len(p)) for p in parts]


def calibration_error(probabilities: Values, truth: NDArray[np.bool_]) -> float:
    """Expected calibration error over the bins of :func:`reliability`."""
    gaps = (abs(mean - share) * count for mean, share, count in reliability(probabilities, truth))
    return sum(gaps) / len(probabilities)


def chance_error(probabilities: Values, *, draws: int = 50) -> float:
    """Expected calibration error that perfectly calibrated probabilities would show on as many images, by seeded draws."""
    rng = np.random.default_rng(0)
    drawn = (rng.uniform(size=len(probabilities)) < probabilities for _ in range(draws))
    return float(np.mean([calibration_error(probabilities, truth) for truth in drawn]))


def fit_calibration(
    logits: Values, truth: NDArray[np.bool_], *, penalty: float = 1e-2
) -> tuple[float, float, float]:
    """Temperature, bias and floor with ``probability = floor + (1 - floor) * sigmoid(logit / temperature + bias)``.

    The floor is the share of findings that no image shows: however little the model sees, so often one is there. Without it,
    those alone bend the whole curve. The most likely of :data:`FLOORS` is taken.
    """
    exact = np.asarray(logits, dtype=np.float64)
    fits = [_fitted(exact, truth, floor, penalty) for floor in FLOORS]
    likely = min(range(len(fits)), key=lambda i: fits[i][0])
    _, slope, bias = fits[likely]
    return 1 / slope, bias, FLOORS[likely]


def _fitted(
    logits: Values, truth: NDArray[np.bool_], floor: float, penalty: float
) -> tuple[float, float, float]:
    """Loss, slope and bias of the most likely curve over a floor, by Fisher scoring.

    The small ridge towards slope 1 keeps a perfectly separated label finite.
    """
    slope, bias = 1.0, 0.0
    for _ in range(60):
        free = sigmoid(slope * logits + bias)
        p = floor + (1 - floor) * free
        # A finding with a low p rather belongs to the floor than to the curve: it pulls less.
        share = free / p if floor else np.ones_like(p)
        pull, weight = share * (p - truth), share * (1 - floor) * free * (1 - free) + 1e-9
        gradient = np.array([(pull * logits).mean() + penalty * (slope - 1), pull.mean()])
        cross = (weight * logits).mean()
        hessian = np.array([[(weight * logits**2).mean() + penalty, cross], [cross, weight.mean() + 1e-6]])
        step = np.linalg.solve(hessian, gradient)
        step *= min(1.0, 2.0 / (1e-12 + float(np.abs(step).max())))
        slope, bias = max(0.05, slope - step[0]), bias - step[1]
    p = np.clip(floor + (1 - floor) * sigmoid(slope * logits + bias), 1e-12, 1 - 1e-12)
    loss = -np.log(np.where(truth, p, 1 - p)).mean() + penalty * (slope - 1) ** 2 / 2
    return float(loss), float(slope), float(bias)


def threshold_for_specificity(probabilities: Values, truth: NDArray[np.bool_], specificity: float) -> float:
    """Smallest threshold at which at least ``specificity`` of the negatives stay below it."""
    return float(np.quantile(probabilities[~truth], specificity, method="higher")) + 1e-6


def proves(hits: int, count: int, share: float, *, level: float = 0.95) -> bool:
    """Whether the one-sided exact (Clopper-Pearson) lower bound of ``hits`` in ``count`` reaches ``share`` (within 0..1)."""
    return hits > 0 and _at_least(hits, count, share) <= 1 - level


def _at_least(hits: int, count: int, share: float) -> float:
    """Chance of ``hits`` or more in ``count`` trials of chance ``share``."""
    k = np.arange(hits, count + 1)
    factorial = _log_factorials(count)
    log = factorial[count] - factorial[k] - factorial[count - k]
    log = log + k * math.log(share) + (count - k) * math.log1p(-share)
    return float(np.exp(log).sum())


@lru_cache(maxsize=256)
def _log_factorials(count: int) -> Values:
    return np.array([math.lgamma(i + 1) for i in range(count + 1)])
