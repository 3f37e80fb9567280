"""Workers that de-identify share a key and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.support.memories import forget
from tests.support.repository import ROOT
from tests.unit.stream_processors.deidentification import test_memory as memory

WORKER = """
import json, sys
from tests.unit.stream_processors.deidentification import test_memory as here
print(json.dumps(here.digests(list if sys.argv[1] == "forward" else lambda each: each[::-1], lambda: None)))
"""


@pytest.mark.timeout(300)  # two more interpreters, which a busy machine starts slowly
def test_two_workers_that_share_nothing_but_the_key_give_the_same_bytes() -> None:
    found = []
    for order, seed in (("forward", "1"), ("backward", "2")):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "TZ": "Asia/Tokyo" if seed == "1" else "UTC"}
        worker = subprocess.run(
            [sys.executable, "-c", WORKER, order],
            capture_output=True, check=True, cwd=ROOT, env=environment,
        )  # fmt: skip
        found.append(json.loads(worker.stdout))
    assert found[0] == found[1] == memory.digests(list, forget)
