"""Pixel workers: one process for each file at work, killed when its time is up."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import Final

from stream_processors.deidentification.pixel_cleaning import Task
from stream_processors.deidentification.pixel_messages import read_message, write_message
from stream_processors.deidentification.refusal import RefusedError

MODULE: Final = "stream_processors.deidentification.pixel_worker"
DEADLINE: Final = 300.0
"""seconds for one file: a still takes 5 to 15 of a core, a cine about two for each frame that differs; the clock is the
wall's, and a busy machine is several times slower."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a worker says: its description, and the new Pixel Data."""

    described: dict[str, object]
    value: bytes


class Workers:
    """Workers that wait for the next file; as many live as were ever busy at once."""

    def __init__(self, module: str = MODULE) -> None:
        self._module = module
        self._idle: queue.LifoQueue[subprocess.Popen[bytes]] = queue.LifoQueue()

    def do(self, task: Task, deadline: float = DEADLINE) -> Answer:
        """Have a task done within `deadline` seconds.

        Raises
        ------
        RefusedError
            pixels-deadline when the worker had to be killed; pixels-unreadable when it died of the file; or what it
            refused itself.
        """
        worker = self._one()
        late = threading.Event()

        def kill() -> None:
            late.set()
            worker.kill()

        timer = threading.Timer(deadline, kill)
        timer.start()
        try:
            answer = _exchange(worker, task)
        finally:
            timer.cancel()
        if answer is None or late.is_set():
            _end(worker)
            raise RefusedError("pixels-deadline" if late.is_set() else "pixels-unreadable")
        self._idle.put(worker)
        refused = answer.described.get("refused")
        if refused is not None:
            raise RefusedError(str(refused))
        return answer

    def close(self) -> None:
        """End the workers that wait."""
        while True:
            try:
                _end(self._idle.get_nowait())
            except queue.Empty:
                return

    def _one(self) -> subprocess.Popen[bytes]:
        while True:
            try:
                worker = self._idle.get_nowait()
            except queue.Empty:
                break
            if worker.poll() is None:
                return worker
            _end(worker)
        return subprocess.Popen(
            [sys.executable, "-m", self._module, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # what libraries say there may quote the file
            env=dict(os.environ) | {"OMP_NUM_THREADS": "1"},
        )


def _exchange(worker: subprocess.Popen[bytes], task: Task) -> Answer | None:
    """Send a task and wait for the answer; None when the worker is gone."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    described = {
        "syntax": task.syntax, "value_at": task.value_at, "end": task.end, "device": [list(box) for box in task.device],
    }  # fmt: skip
    try:
        write_message(worker.stdin, described, task.data)
        message = read_message(worker.stdout)
    except (OSError, ValueError):
        return None
    return None if message is None else Answer(*message)


def _end(worker: subprocess.Popen[bytes]) -> None:
    worker.kill()
    for stream in (worker.stdin, worker.stdout):
        if stream is not None:
            try:
                stream.close()
            except OSError:  # what was not sent any more
                continue
    worker.wait()
