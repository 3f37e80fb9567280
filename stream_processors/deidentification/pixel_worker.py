"""`python -m stream_processors.deidentification.pixel_worker`: clean pixels that come over stdin, until it closes.

A process of its own, so that a decoder that hangs, crashes or asks for all memory takes nothing with it.
"""

from __future__ import annotations

import resource
import sys
import warnings
from dataclasses import asdict
from typing import Final

from stream_processors.deidentification.pixel_cleaning import Cleaned, Task, clean
from stream_processors.deidentification.pixel_messages import read_message, write_message
from stream_processors.deidentification.refusal import RefusedError
from stream_processors.deidentification.regions import Box
from stream_processors.deidentification.text_detection import TextDetector

MEMORY: Final = 6 << 30
"""bytes of address space: the largest pixels several times over, and the detector."""


def answer(
    described: dict[str, object], data: bytes, detector: TextDetector
) -> tuple[dict[str, object], bytes]:
    """Do one task; a fault of the libraries is a refusal like any other here, at the process's border."""
    device = described.pop("device")
    assert isinstance(device, list)
    try:
        done = clean(Task(data=data, device=tuple(Box(*each) for each in device), **described), detector)  # type: ignore[arg-type]  # our parent wrote them as a task's own
    except RefusedError as refused:
        return {"refused": refused.reason}, b""
    except Exception:  # noqa: BLE001 - whatever a decoder or the detector raises: its text may quote the file
        return {"refused": "pixels-unreadable"}, b""
    return _described(done), done.value


def _described(done: Cleaned) -> dict[str, object]:
    attributes = {
        tag: None if given is None else [given[0], given[1].decode("latin-1")]
        for tag, given in done.attributes.items()
    }
    return {
        "syntax": done.syntax, "vr": done.vr, "attributes": attributes, "found": asdict(done.found), "frames": done.frames,
    }  # fmt: skip


def main() -> int:
    """Answer until the parent is gone."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    warnings.simplefilter("ignore")
    stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # a library that prints must not speak into the answers
    detector = TextDetector()
    while (message := read_message(stdin)) is not None:
        write_message(stdout, *answer(*message, detector))
    return 0


if __name__ == "__main__":
    sys.exit(main())
