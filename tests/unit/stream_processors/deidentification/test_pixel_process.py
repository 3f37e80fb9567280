from __future__ import annotations

import subprocess

import pytest

from stream_processors.deidentification.pixel_cleaning import Task
from stream_processors.deidentification.pixel_process import Workers, _end
from stream_processors.deidentification.refusal import RefusedError

TASK = Task("1.2.840.10008.1.2.1", bytes(1 << 20), 0, 16, ())


@pytest.mark.parametrize(
    ("module", "deadline", "reason"),
    [
        ("tests.support.sleeping_worker", 0.5, "pixels-deadline"),
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
        Workers(module).do(TASK, deadline)
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
