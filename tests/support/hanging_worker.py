"""A pixel worker whose OCR never comes back, holds the interpreter's lock, and does not listen to polite signals."""

from __future__ import annotations

import re
import signal
import sys

from stream_processors.deidentification import pixel_worker
from stream_processors.deidentification.pictures import Picture
from stream_processors.deidentification.regions import Box


class Hanging:
    """Stands in for the detector."""

    def find(self, picture: Picture, *, close: bool) -> list[Box]:
        """Search in native code, for longer than anybody lives."""
        del picture, close
        re.match(r"(a+)+$", "a" * 200 + "b")
        return []


if __name__ == "__main__":
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    sys.exit(pixel_worker.main(int(sys.argv[1]), Hanging))
