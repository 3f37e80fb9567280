from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from inference import server
from inference.server import (
    TritonAbsent,
    TritonInstallation,
    TritonServer,
    find_server,
    main,
    remove_leftovers,
)
from tests.support.processes import WAIT_S, alive, command_line, descendants, wait_until, wait_until_gone


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
    monkeypatch.setattr(server, "SHARED_MEMORY", tmp_path)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    mine = server.shared_memory_prefix(tmp_path / "models")
    other = server.shared_memory_prefix(tmp_path / "other").replace(str(os.getpid()), str(dead.pid))
    regions = [mine + "a", mine.replace(str(os.getpid()), str(dead.pid)) + "b", other + "c", "somebody-elses"]
    for region in regions:
        Path(tmp_path, region).touch()

    assert remove_leftovers(tmp_path / "models") == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([regions[0], *regions[2:]])
    assert remove_leftovers(tmp_path / "models", owner=os.getpid()) == 1


def test_a_model_process_whose_server_is_dead_is_ended_and_no_other(tmp_path, monkeypatch):
    monkeypatch.setattr(server, "SHARED_MEMORY", tmp_path)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    mine = server.shared_memory_prefix(tmp_path / "models")
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
    monkeypatch.setattr(server, "SHARED_MEMORY", tmp_path)
    region = server.shared_memory_prefix(tmp_path / "models")
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


def test_a_server_whose_model_process_dies_while_it_starts_is_given_up(tmp_path, monkeypatch):
    looks = iter([(), (2,), (2, 3), (3,)])
    monkeypatch.setattr(TritonServer, "stub_pids", lambda _: next(looks))
    hangs = hanging(tmp_path, tmp_path / "started")

    with pytest.raises(RuntimeError, match="model process of tritonserver died"):
        hangs.start()
    assert hangs.poll() == -signal.SIGKILL


def hanging(folder, started):
    """A server that never becomes ready and does not listen to SIGTERM; it makes a file when it runs."""
    found = find_server(environment(folder))
    assert isinstance(found, TritonInstallation)
    (found.server / "backends" / "python").mkdir(parents=True)
    program = found.server / "bin" / "tritonserver"
    program.write_text(f"#!/bin/sh\ntrap '' TERM\ntouch {started}\nwhile :; do sleep 0.05; done\n")
    program.chmod(0o755)
    return TritonServer(found, folder / "models")


def is_stub(pid):
    return command_line(pid)[0].endswith(server.MODEL_PROCESS)
