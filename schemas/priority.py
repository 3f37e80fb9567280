"""The worklist's time-dependent score: shared by the steps that set the weight and the readers that compute the order."""

from __future__ import annotations


def priority_score(weight: float, waiting_s: float) -> float:
    """Return accumulated priority: weight times waiting time (accumulating priority queue), so nobody waits for ever.

    Parameters
    ----------
    weight
        Rate at which the study gains priority, per second.
    waiting_s
        Seconds since the gateway received it; a clock that is behind counts as no waiting.
    """
    return weight * max(waiting_s, 0.0)
