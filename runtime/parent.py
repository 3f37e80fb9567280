"""A process that shall not outlive the one that started it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable

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


def dying_with(parent: int) -> Callable[[], None]:
    """What a child runs between fork and exec (`preexec_fn`): it gets SIGTERM when its parent dies, even by SIGKILL.

    Not every program that is started here could ask for that itself, and none can before it runs.
    """
    if not sys.platform.startswith("linux"):
        return lambda: None
    libc = ctypes.CDLL(None)  # loaded before the fork: the child must not take locks

    def prepare() -> None:
        libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM))
        if os.getppid() != parent:  # it died between the fork and the call
            os._exit(1)

    return prepare
