"""A pixel worker that is busy for ever and does not read: only the look at its parent ends it."""

from __future__ import annotations

import sys
import threading
import time

from stream_processors.deidentification.pixel_worker import end_with

if __name__ == "__main__":
    threading.Thread(target=end_with, args=(int(sys.argv[1]),), daemon=True).start()
    while True:
        time.sleep(3600)
