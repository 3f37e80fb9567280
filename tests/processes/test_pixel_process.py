from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stream_processors.deidentification.pixel_cleaning import Task
from stream_processors.deidentification.pixel_process import Workers, _end
from stream_processors.deidentification.refusal import RefusedError
from tests.support.burned_in import Kind, file_of, values_of
from tests.support.processes import alive, wait_until
from tests.support.repository import ROOT

TASK = Task("1.2.840.10008.1.2.1", bytes(1 << 20), 0, 16, ())


def text_task() -> Task:
    """An image that has to be looked at."""
    raw = file_of(Kind())
    at, values = raw.index(b"DICM") + 4, raw.index(values_of(Kind()).tobytes())
    meta = 12 + int.from_bytes(raw[at + 8 : at + 12], "little")
    return Task("1.2.840.10008.1.2.1", raw[at + meta :], values - at - meta, len(raw) - at - meta, ())


@pytest.mark.parametrize(
    ("module", "deadline", "reason"),
    [
        ("tests.support.sleeping_worker", 0.5, "pixels-deadline"),
        ("tests.support.hanging_worker", 6.0, "pixels-deadline"),
        ("no.such.module", 60.0, "pixels-unreadable"),
    ],
)
def test_a_worker_that_hangs_or_dies_is_ended_and_the_file_refused(
    module: str, deadline: float, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []

    def ended(worker: subprocess.Popen[bytes]) -> None:
        started.append(worker)
        _end(worker)

    monkeypatch.setattr("stream_processors.deidentification.pixel_process._end", ended)
    with pytest.raises(RefusedError) as refused:
        Workers(module).do(text_task(), deadline)
    assert refused.value.reason == reason
    assert [each.poll() is not None for each in started] == [True]


def test_a_worker_refuses_and_goes_on() -> None:
    workers = Workers()
    try:
        for _ in range(2):
            with pytest.raises(RefusedError, match="pixels-unreadable"):
                workers.do(TASK)
        assert workers._idle.qsize() == 1
    finally:
        workers.close()


def test_a_worker_does_not_outlive_its_parent(tmp_path: Path) -> None:
    code = (
        "import os, subprocess, sys\n"
        "command = [sys.executable, '-m', 'tests.support.endless_worker', str(os.getpid())]\n"
        "worker = subprocess.Popen(command, stdin=subprocess.PIPE)\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(worker.pid))\n"
        "os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
    pid = int((tmp_path / "pid").read_text())
    wait_until(lambda: not alive(pid), "the worker to end")
