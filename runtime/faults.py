"""Named points at which a test may kill this process, as a power cut would.

`<data>/faults/<component>` with the text `point count` kills the process with SIGKILL when it reaches that point for the
count-th time after the file appeared. The file is renamed to `<component>.fired` first, so that the kill is on record and the
restarted process lives. Without such a file a point costs one failed look-up.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Point = Literal["after-store", "after-publish", "after-effect", "before-acknowledge"]
"""Object or row stored · events confirmed · a step's run ended · all done but the acknowledgement."""


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class _Trap:
    """Where this process looks for its order, and how often it has come past."""

    path: str
    kill: Callable[[], None]
    order: str = ""
    passed: int = 0

    def reach(self, point: str) -> None:
        try:
            with open(self.path, encoding="utf-8") as file:
                order = file.read().strip()
        except FileNotFoundError:
            return
        if order != self.order:
            self.order, self.passed = order, 0
        wanted, _, count = order.partition(" ")
        if wanted != point:
            return
        self.passed += 1
        if self.passed >= int(count or "1"):
            os.replace(self.path, self.path + ".fired")
            self.kill()


_trap: _Trap | None = None


def configure(folder: Path, component: str, kill: Callable[[], None] = _kill) -> None:
    """Look for orders in `folder` from now on; `runtime.process` calls this at the start."""
    global _trap
    folder.mkdir(parents=True, exist_ok=True)
    _trap = _Trap(str(folder / component), kill)


def disarm() -> None:
    """Look for no orders any more."""
    global _trap
    _trap = None


def reach(point: Point) -> None:
    """Die here if that was ordered."""
    if _trap is not None:
        _trap.reach(point)
