"""A process of its own that calls a port's implementation as it is told, so that a test can kill it between any two calls.

`Opener` names the implementation in words that another process understands, `Driver` is the test's end of the process,
and `Calls` is what runs in it.
"""

from __future__ import annotations

import base64
import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from runtime.errors import RetryError, StopError
from runtime.patience import until_answered
from runtime.ports import OutgoingRecord
from schemas import rows

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Opener:
    """How to open an implementation: a function as `module:name`, and its one argument."""

    function: str
    argument: str

    def open(self) -> Any:
        """Open it in this process."""
        module, _, name = self.function.partition(":")
        return getattr(importlib.import_module(module), name)(self.argument)


class Driver:
    """A child process; answers one call at a time."""

    def __init__(self, opener: Opener) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.port_driver", opener.function, opener.argument],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def begin(self, action: str, **arguments: Any) -> None:
        """Start a call without waiting for its answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([action, arguments]) + "\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        """Wait for the next answer; what the call raised becomes `{"raised": class name}`."""
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def call(self, action: str, **arguments: Any) -> Any:
        """Make a call and wait for its answer."""
        self.begin(action, **arguments)
        return self.answer()

    def answers_until_killed(self, count: int) -> list[Any]:
        """Take `count` answers of a call that never ends, kill the process, and take what it had still said."""
        taken = [self.answer() for _ in range(count)]
        self.kill()
        assert self.process.stdout is not None
        return taken + [json.loads(line) for line in self.process.stdout if line.endswith("\n")]

    def kill(self) -> None:
        """`kill -9`: no handler runs."""
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        """Stop the process as a machine that pauses does."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self.process.pid, signal.SIGCONT)


@contextmanager
def driver(opener: Opener) -> Iterator[Driver]:
    """Start a child process that ends with the block."""
    child = Driver(opener)
    try:
        yield child
    finally:
        child.kill()
        for stream in (child.process.stdin, child.process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    continue


def say(answer: Any) -> None:
    """Answer the test."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


class Calls:
    """What a child can be told to do; it keeps one consumer, one producer and one object under construction."""

    def __init__(self, port: Any) -> None:
        self.port = port
        self.producer: Any = None
        self.consumer: Any = None
        self.writer: Any = None

    def open(self) -> str:
        """Nothing but being there."""
        return "open"

    def send(self, topic: str, pairs: list[tuple[str, str]]) -> int:
        self.producer = self.producer or self.port.producer("child")
        self.producer.send([OutgoingRecord(topic, key.encode(), value.encode()) for key, value in pairs])
        return len(pairs)

    def send_for_ever(self, topic: str) -> None:
        number = 0
        while True:
            self.send(topic, [(str(key), f"{number}") for key in range(3)])
            say(number)
            number += 1

    def join(self, group: str, topic: str, member: str) -> str:
        self.consumer = self.port.consumer(group, [topic], member)
        return "joined"

    def poll(self, most: int, timeout_s: float) -> list[tuple[int, int, str]]:
        found = self.consumer.poll(most, timeout_s)
        return [(one.partition, one.offset, one.value.decode()) for one in found]

    def commit(self, topic: str, offsets: list[tuple[int, int]]) -> str:
        self.consumer.commit({(topic, number): offset for number, offset in offsets})
        return "committed"

    def owned(self) -> list[int]:
        return sorted(number for _, number in self.consumer.assignment())

    def leave(self) -> str:
        self.consumer.close()
        return "left"

    def insert(self, **columns: Any) -> bool:
        return bool(self.port.insert_if_absent(rows.ReviewRow(**columns)).applied)

    def count(self, site: str, study: str, times: int | None) -> list[int]:
        """Raise a row's version by one, `times` times, or for ever and saying so each time.

        Returns how often it was done, and how often it may have been done (rule 2 of the ports: `RetryError` leaves that open).
        """
        done = doubtful = 0
        while times is None or done + doubtful < times:
            row = until_answered(partial(self.port.get, rows.ReviewRow, site=site, study=study))
            wanted = rows.ReviewRow(site=site, study=study, version=row.version + 1)
            try:
                done += self.port.compare_and_set(wanted, expect={"version": row.version}).applied
            except RetryError:
                doubtful += 1
            if times is None:
                say([done, doubtful])
        return [done, doubtful]

    def write_for_ever(self, site: str) -> None:
        number = 0
        while True:
            row = rows.StudyRow(site=site, study=f"{number}", revision=number)
            until_answered(partial(self.port.write, row, at=number))
            say(number)
            number += 1

    def put(self, bucket: str, key: str, data: str, *, if_absent: bool = False) -> int:
        return int(self.port.put(bucket, key, base64.b64decode(data), if_absent=if_absent).size)

    def put_for_ever(self, bucket: str, prefix: str) -> None:
        number = 0
        while True:
            until_answered(partial(self.port.put, bucket, f"{prefix}/{number}", b"%d" % number * 1000))
            say(number)
            number += 1

    def begin_object(self, bucket: str, key: str) -> str:
        self.writer = self.port.open_write(bucket, key)
        return "begun"

    def append(self, data: str) -> str:
        self.writer.write(base64.b64decode(data))
        return "appended"

    def commit_object(self) -> int:
        return int(self.writer.commit().size)

    def register(self, subject: str, schema: str) -> int:
        return int(self.port.register(subject, schema))


def main() -> None:
    calls = Calls(Opener(sys.argv[1], sys.argv[2]).open())
    for line in sys.stdin:
        action, arguments = json.loads(line)
        method: Callable[..., Any] = getattr(calls, action)
        try:
            say(method(**arguments))
        except StopError:
            say({"raised": "StopError"})


if __name__ == "__main__":
    main()
