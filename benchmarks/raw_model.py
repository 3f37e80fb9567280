"""ONNX Runtime alone, on one thread: `python -m benchmarks.raw_model FILE SIDE BATCH`.

It says `ready` when it is warm. For each number on its input it runs for so many seconds, and says images per second and
processor seconds per image.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from benchmarks.triton_models import images, session


def main() -> int:
    """Run for as long as each line says, until there are no more."""
    file, side, batch = sys.argv[1:]
    ready, rows = session(Path(file).read_bytes()), images(int(side), int(batch))
    for _ in range(3):
        ready.run(None, {"image": rows})
    _say("ready")
    for line in sys.stdin:
        done, began, spent = 0, time.monotonic(), time.process_time()
        while time.monotonic() - began < float(line):
            ready.run(None, {"image": rows})
            done += len(rows)
        rate = done / (time.monotonic() - began)
        _say(f"{rate} {(time.process_time() - spent) / done}")
    return 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
