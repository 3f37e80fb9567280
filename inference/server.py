"""Starts a real tritonserver, without Docker, as a child of this process.

    python -m inference.server --environment DIR --repository DIR --grpc-port N --http-port N --metrics-port N

The server is the one inside the wheel ``nvidia-pytriton``; it lives in a virtual environment of its own, because its
Python backend needs numpy 1. Nothing of that wheel is imported here.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from inference.model_processes import (
    MODEL_PROCESS,
    model_processes,
    remove_leftovers,
    shared_memory_prefix,
    waits_for_a_child,
)
from runtime.free_ports import free_ports
from runtime.parent import dying_with

PYTRITON = "0.7.0"
"""The wheel whose layout this file knows (tritonserver 2.51)."""
START_TIMEOUT_S = 240.0
"""Ready takes 1 s when files are cached, 10 s on a cold disk, ten times that on a busy machine; more means it hangs."""
STOP_TIMEOUT_S = 10.0
"""SIGTERM answers what is in flight and then takes 2 to 4 s."""
EXIT_DRAIN_S = 5
"""How long the server waits for requests under way, and for models to unload, before it leaves anyway."""
STARTS = 5
"""Times that a server is started which loses model processes while it loads: see `_LoadingError`."""
STUCK_S = 3.0
"""Seconds that a loading server may wait for a model process to end, which it asked to, before it is taken to wait for ever."""
LOOK_S = 0.1
"""Seconds between two looks whether the server runs and nobody has asked for its end."""

LOG = logging.getLogger(__name__)

_ASK = """
import json, sys, sysconfig
get = sysconfig.get_config_var
print(json.dumps(["%d.%d" % sys.version_info[:2], get("LIBDIR"), sys.base_prefix, sysconfig.get_path("purelib")]))
"""


@dataclass(frozen=True)
class TritonInstallation:
    """A server that can be started, and the Python its model processes embed."""

    environment: Path
    python_version: str
    library_folder: Path
    """Holds ``libpython3.X.so.1.0``."""
    server: Path
    """Folder with ``bin/tritonserver`` and ``backends/python``."""
    stub: Path


@dataclass(frozen=True)
class TritonAbsent:
    """Why no server can be started here, and what to do about it."""

    reason: str


def find_server(environment: Path) -> TritonInstallation | TritonAbsent:
    """Look into the server's virtual environment; says what is missing rather than raising."""
    python = environment / "bin" / "python"
    if not sys.platform.startswith("linux"):
        return TritonAbsent("tritonserver runs on Linux only")
    if not python.exists():
        return TritonAbsent(f"there is no virtual environment for tritonserver at {environment}")
    try:
        told = subprocess.run([python, "-c", _ASK], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return TritonAbsent(f"the Python of {environment} does not run")
    version, library, base, site = json.loads(told.stdout)
    server = Path(site) / "pytriton" / "tritonserver"
    stub = server / "python_backend_stubs" / version / MODEL_PROCESS
    if not (server / "bin" / "tritonserver").exists():
        return TritonAbsent(f"nvidia-pytriton {PYTRITON} is not installed in {environment}")
    if not stub.exists():
        return TritonAbsent(f"tritonserver has no model process for Python {version}; 3.11 to 3.13 have one")
    for folder in (library, f"{base}/lib"):
        if folder and Path(folder, f"libpython{version}.so.1.0").exists():
            return TritonInstallation(environment.absolute(), version, Path(folder), server, stub)
    return TritonAbsent(
        f"Python {version} of {environment} has no shared library; on Debian install libpython{version} and make the "
        f"environment with /usr/bin/python{version}"
    )


class _LoadingError(RuntimeError):
    """The server lost a model process while it loaded, or believes that it did: it may well load the next time.

    It gives a model process one second to say that it lives, again and again while it loads. Where the machine stands still for
    as long (others use it, or it is moved), it gives up one that is well, and then waits for ever for its end, or takes the
    memory that both share from under it and aborts (server 2.51).
    """


class TritonServer:
    """One child server over one model repository.

    Start it from a thread that lives as long as the server should: Linux ends the child when the *thread* that
    started it ends, which is what keeps a killed parent from leaving an orphan.
    """

    def __init__(
        self,
        installation: TritonInstallation,
        repository: Path,
        *,
        grpc_port: int | None = None,
        http_port: int | None = None,
        metrics_port: int | None = None,
        work_folder: Path | None = None,
        log: Path | None = None,
    ) -> None:
        """``work_folder`` gets links to the backend (default: beside the repository); without ``log`` output is shared."""
        self._installation = installation
        self._repository = repository.absolute()
        self._work = (work_folder or self._repository.with_name(self._repository.name + ".server")).absolute()
        self._log = log
        self._ports = _ports(grpc_port, http_port, metrics_port)
        self._region = shared_memory_prefix(self._repository)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def grpc_address(self) -> str:
        """host:port."""
        return f"127.0.0.1:{self._ports[0]}"

    @property
    def http_address(self) -> str:
        """host:port."""
        return f"127.0.0.1:{self._ports[1]}"

    @property
    def metrics_address(self) -> str:
        """URL of the server's Prometheus metrics."""
        return f"http://127.0.0.1:{self._ports[2]}/metrics"

    @property
    def pid(self) -> int:
        """Process id of tritonserver; ``RuntimeError`` if it was not started."""
        return self._running().pid

    def stub_pids(self) -> tuple[int, ...]:
        """Process ids of the model processes, one per instance."""
        return model_processes(self.pid, self._region)

    def poll(self) -> int | None:
        """Exit status, or None while it runs."""
        return self._running().poll()

    def start(self, *, timeout_s: float = START_TIMEOUT_S, asked: Sequence[int] = ()) -> None:
        """Start and wait until all models answer, or until ``asked`` holds the signal that somebody asks for an end with.

        ``RuntimeError`` if the server exits, loses a model process each time that it is started, or the time runs out.
        """
        deadline = time.monotonic() + timeout_s
        for left in reversed(range(STARTS)):
            self._launch()
            try:
                self._wait_until_ready(deadline, asked)
            except _LoadingError as error:
                self._kill()
                if asked or not left:
                    raise
                LOG.warning("%s; it is started again", error)
            else:
                return

    def _launch(self) -> None:
        remove_leftovers(self._repository)
        backends = self._link_backend()
        output = self._log.open("ab") if self._log else None
        try:
            self._process = subprocess.Popen(
                self._command(backends),
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if output else None,
                start_new_session=True,
                preexec_fn=dying_with(os.getpid()),  # noqa: PLW1509 - takes no lock, see there
            )
        finally:
            if output:
                output.close()

    def signal(self, number: int) -> None:
        """Send a signal to the server."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(number)

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait for the server's end, kill it once the time has run out, and remove what it left; returns its exit status."""
        process = self._running()
        try:
            status = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait()
        remove_leftovers(self._repository, owner=os.getpid())
        return status

    def stop(self) -> None:
        """SIGTERM, then SIGKILL if it does not end; does nothing if it was never started."""
        if self._process is None:
            return
        self.signal(signal.SIGTERM)
        self.wait(STOP_TIMEOUT_S)

    def _kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.wait()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("tritonserver was not started")
        return self._process

    def _link_backend(self) -> Path:
        """A backend folder whose stub is the one of our Python; the wheel itself stays untouched."""
        python = self._work / "backends" / "python"
        shutil.rmtree(python, ignore_errors=True)
        python.mkdir(parents=True)
        for file in [*(self._installation.server / "backends" / "python").iterdir(), self._installation.stub]:
            link = python / file.name
            link.unlink(missing_ok=True)
            link.symlink_to(file.absolute())
        return python.parent

    def _command(self, backends: Path) -> list[str]:
        grpc, http, metrics = self._ports
        models = sorted(p.parent.name for p in self._repository.glob("*/config.pbtxt"))
        return [
            str(self._installation.server / "bin" / "tritonserver"),
            f"--model-repository={self._repository}",
            f"--backend-directory={backends}",
            "--model-control-mode=explicit",
            *(f"--load-model={name}" for name in models),
            "--disable-auto-complete-config",
            "--allow-gpu-metrics=false",
            f"--exit-timeout-secs={EXIT_DRAIN_S}",
            *(f"--{kind}-address=127.0.0.1" for kind in ("grpc", "http", "metrics")),
            f"--grpc-port={grpc}",
            f"--http-port={http}",
            f"--metrics-port={metrics}",
            f"--backend-config=python,shm-region-prefix-name={self._region}",
        ]

    def _environment(self) -> dict[str, str]:
        """The first ``python3`` on PATH decides the stub's packages; PYTHONPATH and PYTHONHOME are ignored by it."""
        return {
            "PATH": f"{self._installation.environment}/bin:/usr/bin:/bin",
            "LD_LIBRARY_PATH": str(self._installation.library_folder),
            "HOME": str(self._work),
            "ORT_DISABLE_TELEMETRY": "1",  # ONNX Runtime's own builds report their use to their maker
        }

    def _wait_until_ready(self, deadline: float, asked: Sequence[int]) -> None:
        stubs: set[int] = set()
        stuck_at: float | None = None
        while time.monotonic() < deadline:
            if asked:  # one that hangs while it starts gets no more time than any other that is asked to end
                return
            status = self.poll()
            if status is not None and status < 0:
                raise _LoadingError(f"signal {-status} ended tritonserver while it started; see its log")
            if status is not None:
                raise RuntimeError(
                    f"tritonserver exited with status {self.wait()} while starting; see its log"
                )
            if _answers(f"http://{self.http_address}/v2/health/ready"):
                return
            before, stubs = stubs, set(self.stub_pids())
            if before - stubs:  # the server may wait for its word for ever
                raise _LoadingError("a model process of tritonserver died while it started; see its log")
            now = time.monotonic()
            stuck_at = (stuck_at or now) if waits_for_a_child(self.pid) else None
            if stuck_at is not None and now - stuck_at > STUCK_S:
                raise _LoadingError("tritonserver gave up a model process that lives; see its log")
            time.sleep(0.05)
        self.stop()
        raise RuntimeError("tritonserver was not ready in time; see its log")


def _ports(*wanted: int | None) -> list[int]:
    chosen = iter(free_ports(sum(p is None for p in wanted)))
    return [next(chosen) if p is None else p for p in wanted]


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as response:  # noqa: S310 - our own http address
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def main(arguments: list[str] | None = None) -> int:
    """Run in the foreground until the server ends; SIGTERM and SIGINT are passed on to it."""
    parser = argparse.ArgumentParser(
        prog="python -m inference.server", description="Run tritonserver in the foreground."
    )
    parser.add_argument(
        "--environment", type=Path, required=True, help="virtual environment with nvidia-pytriton"
    )
    parser.add_argument(
        "--repository", type=Path, required=True, help="model repository (see inference.repository)"
    )
    for kind in ("grpc", "http", "metrics"):
        parser.add_argument(f"--{kind}-port", type=int, required=True)
    given = parser.parse_args(arguments)
    installation = find_server(given.environment)
    if isinstance(installation, TritonAbsent):
        sys.stderr.write(installation.reason + "\n")
        return 2
    server = TritonServer(
        installation, given.repository,
        grpc_port=given.grpc_port, http_port=given.http_port, metrics_port=given.metrics_port,
    )  # fmt: skip

    asked: list[int] = []

    def forward(number: int, _frame: FrameType | None) -> None:
        asked.append(number)
        server.signal(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, forward)
    return _run(server, asked)


def _run(server: TritonServer, asked: list[int]) -> int:
    """Start and wait. An end that was asked for is a good one, even if the server gave up unloading a hurt model."""
    try:
        server.start(asked=asked)
        if asked:  # before there was a process to pass it on to
            server.signal(asked[0])
        while not asked and server.poll() is None:
            time.sleep(LOOK_S)
        status = abs(server.wait(STOP_TIMEOUT_S))
    except RuntimeError as error:
        if not asked:
            sys.stderr.write(f"{error}\n")
        status = 1
    return 0 if asked else status


if __name__ == "__main__":
    sys.exit(main())
