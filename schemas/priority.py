"""Order of the worklist: who is read next, as a function of weight and waiting time. Shared by the portal and its tests."""

from __future__ import annotations

HEAD_START_S = 900.0
"""Seconds of waiting every study is given on arrival, so that a heavy one leads at once and not only after it has waited.

Fifteen minutes: a fresh critical study (weight about 40) stands before a routine one (weight 1) that waited less than ten hours,
and behind it after that: nothing sinks for ever.
"""


def priority_score(weight: float, waiting_s: float) -> float:
    """Accumulated priority of a waiting study; the greatest is read next.

    Parameters
    ----------
    weight
        Rate at which it gains priority (`RiskScored.weight`).
    waiting_s
        Seconds since the gateway received it; clocks may differ, so a negative value counts as 0.

    Returns
    -------
    float
        Weight-minutes.
    """
    return weight * (max(waiting_s, 0.0) + HEAD_START_S) / 60
