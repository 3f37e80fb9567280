"""`python -m stream_processors.deidentification.pixel_worker`: clean pixels that come over stdin, until it closes.

A process of its own, so that a decoder that hangs, crashes or asks for all memory takes nothing with it.
"""

from __future__ import annotations

import logging
import os
import resource
import sys
import threading
import time
import warnings
from collections.abc import Callable
from typing import Final

from stream_processors.deidentification.blanking import Detector
from stream_processors.deidentification.pixel_cleaning import Task, clean
from stream_processors.deidentification.pixel_messages import read_message, write_message
from stream_processors.deidentification.refusal import RefusedError
from stream_processors.deidentification.regions import Box
from stream_processors.deidentification.text_detection import TextDetector

MEMORY: Final = 6 << 30
"""bytes of address space: the largest pixels several times over, and the detector."""

WATCHED: Final = 1.0
"""seconds between looks at whether the parent is still there."""


def answer(described: dict[str, object], data: bytes, detector: Detector) -> tuple[dict[str, object], bytes]:
    """Do one task; a fault of the libraries is a refusal like any other here, at the process's border."""
    device = described.pop("device")
    assert isinstance(device, list)
    try:
        done = clean(Task(data=data, device=tuple(Box(*each) for each in device), **described), detector)  # type: ignore[arg-type]  # our parent wrote them as a task's own
    except RefusedError as refused:
        return {"refused": refused.reason}, b""
    except Exception:  # noqa: BLE001 - whatever a decoder or the detector raises: its text may quote the file
        return {"refused": "pixels-unreadable"}, b""
    return done.told(), done.value


def end_with(parent: int) -> None:
    """End this process soon after its parent has gone: nobody waits for the answer any more."""
    while os.getppid() == parent:
        time.sleep(WATCHED)
    os._exit(1)


def main(parent: int, make: Callable[[], Detector] = TextDetector) -> int:
    """Answer until the parent is gone."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    threading.Thread(target=end_with, args=(parent,), daemon=True).start()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)  # the detector's library logs file names and sizes
    stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # a library that prints must not speak into the answers
    detector = make()
    while (message := read_message(stdin)) is not None:
        write_message(stdout, *answer(*message, detector))
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
