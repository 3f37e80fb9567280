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

    file: Path | None = None
    kill: Callable[[], None] = _kill
    order: str = ""
    passed: int = 0

    def reach(self, file: Path, point: Point) -> None:
        """Kill when the order names this point and its count is full."""
        try:
            order = file.read_text("utf-8").strip()
        except FileNotFoundError:
            return
        if order != self.order:
            self.order, self.passed = order, 0
        wanted, _, count = order.partition(" ")
        if wanted != point:
            return
        self.passed += 1
        if self.passed >= int(count or "1"):
            file.replace(file.with_name(file.name + ".fired"))
            self.kill()


_trap = _Trap()


def configure(folder: Path, component: str, kill: Callable[[], None] = _kill) -> None:
    """Look for orders in `folder` from now on; `runtime.process` calls this at the start."""
    folder.mkdir(parents=True, exist_ok=True)
    _trap.file, _trap.kill, _trap.order, _trap.passed = folder / component, kill, "", 0


def disarm() -> None:
    """Look for no orders any more."""
    _trap.file = None


def reach(point: Point) -> None:
    """Die here if that was ordered."""
    if _trap.file is not None:
        _trap.reach(_trap.file, point)
