"""A process that shall not outlive the one that started it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PARENT_DEATH_VARIABLE = "RADSTREAM_PARENT_DEATH"
"""Set to 1 by a launcher whose children shall not outlive it."""
PR_SET_PDEATHSIG = 1
"""prctl(2): signal to this process when its parent dies; it stays across exec."""


def die_with_parent() -> None:
    """Have this process asked to end (SIGTERM) when its parent dies, if the parent wants that."""
    if os.environ.get(PARENT_DEATH_VARIABLE) != "1" or not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM))
    if os.getppid() != parent:  # it died between the two calls
        os.kill(os.getpid(), signal.SIGTERM)
