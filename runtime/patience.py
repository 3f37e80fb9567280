"""Engines that do not answer yet are waited for: by every process that starts, by what prepares, and by the command line."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, TypeVar

from runtime.errors import RetryError

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 4.0
"""Seconds before engines that did not answer are asked again, doubling from the first to the second."""

T = TypeVar("T")


def until_answered(ask: Callable[[], T], *, log: Any = None, patience_s: float = math.inf) -> T:
    """Ask until there is an answer; every error but :class:`RetryError` ends it.

    Parameters
    ----------
    ask
        Leaves nothing open where it fails.
    log
        Where each failure is told of.
    patience_s
        Seconds after which no new attempt begins: the last error is raised then.
    """
    deadline, pause, attempts = time.monotonic() + patience_s, FIRST_PAUSE_S, 0
    while True:
        try:
            return ask()
        except RetryError as error:
            if time.monotonic() + pause > deadline:
                raise
            attempts += 1
            if log is not None:
                log.warning("engine does not answer, asking again", attempts=attempts, exc_info=error)
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_S)
