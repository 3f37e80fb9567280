from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from runtime.process import CRASHED, DRAINED, STOPPED
from runtime.settings import SETTINGS_VARIABLE
from tests.support.installation import settings

PROGRAM = """
import asyncio, sys, threading
from runtime import process
from runtime.errors import StopError

async def waits(connections, stop):
    connections.presence.ready()
    connections.presence.announce("http://127.0.0.1:1")
    await stop.wait()

async def crashes(connections, stop):
    raise ValueError("DOE^JANE")

async def gives_up(connections, stop):
    raise StopError("missing topics")

async def never_ends(connections, stop):
    process.DRAIN_S = process.END_S = 0.2
    blocked = asyncio.create_task(asyncio.to_thread(threading.Event().wait))
    connections.presence.announce("http://127.0.0.1:1")
    await blocked

process.run("example", globals()[sys.argv[1]])
"""


@contextmanager
def started(folder: Path, main: str) -> Iterator[subprocess.Popen[bytes]]:
    settings(folder).write(folder / "settings.toml")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, main],
            env={**os.environ, SETTINGS_VARIABLE: str(folder / "settings.toml")},
            stderr=log,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def presence(folder: Path) -> dict[str, Any]:
    file = folder / "data" / "run" / "example.json"
    while True:
        if file.exists() and (found := json.loads(file.read_text("utf-8")))["address"]:
            return dict(found)
        time.sleep(0.02)


def test_a_process_tells_where_it_is_and_drains_when_asked_to_end(tmp_path: Path) -> None:
    with started(tmp_path, "waits") as process:
        found = presence(tmp_path)
        assert (found["component"], found["pid"]) == ("example", process.pid)
        assert (tmp_path / "data" / "run" / "example.json").stat().st_mode & 0o777 == 0o600
        with urllib.request.urlopen(f"{found['health']}/readyz") as answer:
            assert answer.read() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait() == DRAINED
        assert not (tmp_path / "data" / "run" / "example.json").exists()


def test_a_thread_that_is_blocked_for_ever_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with started(tmp_path, "never_ends") as process:
        presence(tmp_path)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == CRASHED
    assert "did not drain in time" in (tmp_path / "log").read_text("utf-8")


@pytest.mark.parametrize(("main", "code"), [("crashes", CRASHED), ("gives_up", STOPPED)])
def test_the_exit_code_says_how_a_process_ended_and_its_log_nothing_of_a_payload(
    tmp_path: Path, main: str, code: int
) -> None:
    with started(tmp_path, main) as process:
        assert process.wait() == code
    log = (tmp_path / "log").read_text("utf-8")
    assert "JANE" not in log
    last = json.loads(log.splitlines()[-1])
    assert last["error_type"] == {"crashes": "ValueError", "gives_up": "StopError"}[main]
    assert last["frames"]


def test_wrong_settings_stop_a_process_and_are_named_without_their_value(tmp_path: Path) -> None:
    settings(tmp_path).write(tmp_path / "settings.toml")
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM, "waits"],
        env={
            **os.environ,
            SETTINGS_VARIABLE: str(tmp_path / "settings.toml"),
            "RADSTREAM__TRITON__PROT": "hunter2",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == STOPPED
    assert "triton.prot" in process.stderr
    assert "hunter2" not in process.stderr


AWAY = """
import sys
from pathlib import Path
from runtime import patience, process
from runtime.connections import connect
from runtime.errors import OutageError

tries = Path(sys.argv[1])

def refused_twice(settings, component):
    made = len(tries.read_text()) if tries.exists() else 0
    tries.write_text("x" * (made + 1))
    if made < 2:
        raise OutageError("registry: ConnectError")
    return connect(settings, component)

async def ends(connections, stop):
    return None

process.connect = refused_twice
patience.FIRST_PAUSE_S = 0.01
process.run("example", ends)
"""


def test_a_process_that_starts_while_an_engine_is_away_waits_for_it(tmp_path: Path) -> None:
    settings(tmp_path).write(tmp_path / "settings.toml")
    done = subprocess.run(
        [sys.executable, "-c", AWAY, str(tmp_path / "tries")],
        env={**os.environ, SETTINGS_VARIABLE: str(tmp_path / "settings.toml")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == DRAINED
    assert (tmp_path / "tries").read_text() == "xxx"
    assert done.stderr.count("asking again") == 2
