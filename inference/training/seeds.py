"""Which seeds are whose. No image is ever used for two purposes (held by a test)."""

from __future__ import annotations

DEMONSTRATION = range(1_000_000)
"""For whoever shows or tests the system: images the models have never seen."""

TRAINING = range(1_000_000, 2_000_000)
CALIBRATION = range(2_000_000, 3_000_000)
TEST = range(3_000_000, 4_000_000)
EVALUATION = range(10_000_000, 1 << 62)
"""For whoever measures again: a million to each seed given to ``radstream evaluate``."""

PER_SEED = 1_000_000


def training(count: int) -> range:
    """The first ``count`` seeds of training; ``ValueError`` if there are not as many."""
    return _first(TRAINING, count)


def calibration(count: int) -> range:
    """The first ``count`` seeds of calibration; ``ValueError`` if there are not as many."""
    return _first(CALIBRATION, count)


def measuring(count: int, seed: int | None) -> range:
    """``count`` seeds of the test set, or of an evaluation of the caller's own ``seed`` (0 or more)."""
    if seed is None:
        return _first(TEST, count)
    start = EVALUATION.start + seed * PER_SEED
    if seed < 0 or start + PER_SEED > EVALUATION.stop:
        raise ValueError("the seed of an evaluation is 0 or more, and not absurd")
    return _first(range(start, start + PER_SEED), count)


def _first(whole: range, count: int) -> range:
    if not 0 < count <= len(whole):
        raise ValueError(f"between 1 and {len(whole)} images can be made")
    return whole[:count]
