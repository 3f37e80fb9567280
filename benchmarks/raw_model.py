"""ONNX Runtime alone, on one thread: `python -m benchmarks.raw_model FILE SIDE BATCH SECONDS`.

It says `ready` when it is warm, begins at a line on its input, and then says images and processor seconds.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from benchmarks.triton_models import images, session


def main() -> int:
    """Run for that long."""
    file, side, batch, seconds = sys.argv[1:]
    ready, rows = session(Path(file).read_bytes()), images(int(side), int(batch))
    for _ in range(3):
        ready.run(None, {"image": rows})
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    done, began, spent = 0, time.monotonic(), time.process_time()
    while time.monotonic() - began < float(seconds):
        ready.run(None, {"image": rows})
        done += len(rows)
    rate = done / (time.monotonic() - began)
    sys.stdout.write(f"{rate} {(time.process_time() - spent) / done}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
