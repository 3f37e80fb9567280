from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from inference import model_processes, server
from inference.model_processes import (
    MODEL_PROCESS,
    command_line,
    remove_leftovers,
    shared_memory_prefix,
    waits_for_a_child,
)
from inference.server import TritonAbsent, TritonInstallation, TritonServer, find_server, main
from tests.support.processes import WAIT_S, alive, descendants, wait_until, wait_until_gone


def environment(folder, *, version="3.11", library=True, stub="3.11", binary=True):
    """A folder that looks like the server's environment: its Python answers what it is told to."""
    python = folder / "env" / "bin" / "python"
    python.parent.mkdir(parents=True)
    told = f'["{version}", "{folder}/lib", "{folder}/base", "{folder}/site"]'
    python.write_text(f"#!/bin/sh\necho '{told}'\n")
    python.chmod(0o755)
    triton = folder / "site" / "pytriton" / "tritonserver"
    (triton / "bin").mkdir(parents=True)
    if binary:
        (triton / "bin" / "tritonserver").touch()
    place = triton / "python_backend_stubs" / stub
    place.mkdir(parents=True)
    (place / "triton_python_backend_stub").touch()
    (folder / "base" / "lib").mkdir(parents=True)
    if library:
        (folder / "base" / "lib" / f"libpython{version}.so.1.0").touch()
    return folder / "env"


def test_a_whole_environment_is_found_with_its_library(tmp_path):
    found = find_server(environment(tmp_path))

    assert isinstance(found, TritonInstallation)
    assert (found.python_version, found.library_folder) == ("3.11", tmp_path / "base" / "lib")


@pytest.mark.parametrize(
    ("lacks", "said"),
    [
        ({"binary": False}, "nvidia-pytriton"),
        ({"version": "3.14"}, "no model process for Python 3.14"),
        ({"library": False}, "install libpython3.11"),
    ],
)
def test_what_an_environment_lacks_is_said(tmp_path, lacks, said):
    found = find_server(environment(tmp_path, **lacks))

    assert isinstance(found, TritonAbsent)
    assert said in found.reason


def test_no_environment_is_no_error(tmp_path):
    found = find_server(tmp_path / "nowhere")

    assert isinstance(found, TritonAbsent)
    assert "no virtual environment" in found.reason


def test_a_python_that_does_not_run_is_said(tmp_path):
    folder = environment(tmp_path)
    (folder / "bin" / "python").write_text("#!/bin/sh\nexit 3\n")

    found = find_server(folder)

    assert isinstance(found, TritonAbsent)
    assert "does not run" in found.reason


def test_the_launcher_says_why_it_cannot_start(tmp_path, capsys):
    ports = ["--grpc-port", "1", "--http-port", "2", "--metrics-port", "3"]

    status = main(["--environment", str(tmp_path / "nowhere"), "--repository", str(tmp_path), *ports])

    assert status == 2
    assert "no virtual environment" in capsys.readouterr().err


def test_only_shared_memory_of_the_dead_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(model_processes, "SHARED_MEMORY", tmp_path)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    mine = shared_memory_prefix(tmp_path / "models")
    other = shared_memory_prefix(tmp_path / "other").replace(str(os.getpid()), str(dead.pid))
    regions = [mine + "a", mine.replace(str(os.getpid()), str(dead.pid)) + "b", other + "c", "somebody-elses"]
    for region in regions:
        Path(tmp_path, region).touch()

    assert remove_leftovers(tmp_path / "models") == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([regions[0], *regions[2:]])
    assert remove_leftovers(tmp_path / "models", owner=os.getpid()) == 1


def test_a_model_process_whose_server_is_dead_is_ended_and_no_other(tmp_path, monkeypatch):
    monkeypatch.setattr(model_processes, "SHARED_MEMORY", tmp_path)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    mine = shared_memory_prefix(tmp_path / "models")
    of_dead = mine.replace(str(os.getpid()), str(dead.pid))
    waits = ["-c", "import time; time.sleep(300)"]
    stubs = [
        subprocess.Popen([program, *waits, region], executable=sys.executable)
        for program, region in (
            ("/any/triton_python_backend_stub", of_dead + "a"),
            ("/any/triton_python_backend_stub", mine + "b"),
            ("/any/other", of_dead + "c"),
        )
    ]
    try:
        wait_until(lambda: all(is_stub(stub.pid) for stub in stubs[:2]), "their command lines")
        remove_leftovers(tmp_path / "models")
        assert stubs[0].wait(WAIT_S) == -signal.SIGKILL
        assert [stub.poll() for stub in stubs[1:]] == [None, None]
        remove_leftovers(tmp_path / "models", owner=os.getpid())
        assert stubs[1].wait(WAIT_S) == -signal.SIGKILL
        assert stubs[2].poll() is None
    finally:
        for stub in stubs:
            stub.kill()
            stub.wait()


def test_a_server_that_ends_keeps_its_model_process_until_it_is_gone(tmp_path, monkeypatch):
    monkeypatch.setattr(model_processes, "SHARED_MEMORY", tmp_path)
    region = shared_memory_prefix(tmp_path / "models")
    starts = f"""
import subprocess, time
waits = ["-c", "import time; time.sleep(300)"]
subprocess.Popen(["/any/triton_python_backend_stub", *waits, "{region}a"], executable="{sys.executable}")
time.sleep(300)
"""
    parent = subprocess.Popen(["/any/tritonserver", "-c", starts], executable=sys.executable)
    try:
        wait_until(lambda: any(map(is_stub, descendants(parent.pid))), "its model process")
        (stub,) = descendants(parent.pid)
        remove_leftovers(tmp_path / "models", owner=os.getpid())
        assert alive(stub)
    finally:
        parent.kill()
        parent.wait()
    remove_leftovers(tmp_path / "models", owner=os.getpid())
    wait_until_gone([stub])


def test_a_server_that_hangs_while_it_starts_is_ended_when_its_launcher_is_asked_to(tmp_path, monkeypatch):
    monkeypatch.setattr(server, "STOP_TIMEOUT_S", 0.2)
    started = tmp_path / "started"
    hangs = hanging(tmp_path, started)
    asked: list[int] = []
    ended: list[int] = []
    launcher = threading.Thread(target=lambda: ended.append(server._run(hangs, asked)))

    launcher.start()
    wait_until(started.exists, "the server has started")
    asked.append(signal.SIGTERM)

    launcher.join(WAIT_S / 10)
    assert ended == [0]
    assert hangs.poll() == -signal.SIGKILL


@pytest.mark.parametrize(
    ("looks", "waits", "why"),
    [
        ([(), (2,), (2, 3), (3,)], False, "model process of tritonserver died"),
        ([(2, 3)], True, "gave up a model process that lives"),
    ],
)
def test_a_server_that_loses_a_model_process_while_it_starts_is_started_again_and_then_given_up(
    tmp_path, monkeypatch, caplog, looks, waits, why
):
    monkeypatch.setattr(server, "STUCK_S", 0.1)
    monkeypatch.setattr(server, "waits_for_a_child", lambda _: waits)
    seen = itertools.cycle(looks)
    monkeypatch.setattr(TritonServer, "stub_pids", lambda _: next(seen))
    started = tmp_path / "started"
    hangs = hanging(tmp_path, started)

    with pytest.raises(RuntimeError, match=why):
        hangs.start()
    assert hangs.poll() == -signal.SIGKILL
    assert started.read_text() == "once\n" * server.STARTS
    assert caplog.text.count("it is started again") == server.STARTS - 1


def test_a_server_that_aborts_while_it_starts_is_started_again_and_one_that_exits_is_not(tmp_path):
    started = tmp_path / "started"
    server = made(tmp_path, f"echo once >> {started}; [ $(wc -l < {started}) = 1 ] && kill -ABRT $$; exit 3")

    with pytest.raises(RuntimeError, match="exited with status 3"):
        server.start()
    assert started.read_text() == "once\n" * 2


def test_a_process_that_waits_for_its_child_is_seen(tmp_path):
    waits = subprocess.Popen(
        [sys.executable, "-c", "import os; os.fork() or os.execlp('sleep', 'sleep', '60'); os.wait()"]
    )
    try:
        wait_until(lambda: waits_for_a_child(waits.pid), "it waits")
        (child,) = descendants(waits.pid)
        assert not waits_for_a_child(child)
        os.kill(child, signal.SIGKILL)
    finally:
        waits.kill()
        waits.wait()


def hanging(folder, started):
    """A server that never becomes ready and does not listen to SIGTERM; it writes a line into a file each time that it runs."""
    return made(folder, f"trap '' TERM\necho once >> {started}\nwhile :; do sleep 0.05; done")


def made(folder, program):
    """A server that is this shell program."""
    found = find_server(environment(folder))
    assert isinstance(found, TritonInstallation)
    (found.server / "backends" / "python").mkdir(parents=True)
    binary = found.server / "bin" / "tritonserver"
    binary.write_text(f"#!/bin/sh\n{program}\n")
    binary.chmod(0o755)
    return TritonServer(found, folder / "models")


def is_stub(pid):
    return command_line(pid)[0].endswith(MODEL_PROCESS)
