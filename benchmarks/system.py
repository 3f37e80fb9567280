"""A run of Radstream for measuring: every process, real Triton where it can run."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cli import launch, runs
from cli.components import Plan, consumers, reads
from cli.status import lag_of
from deploy.local.resolve import resolve
from deploy.local.servers import NAMES
from runtime.connections import Connections, connect
from runtime.free_ports import free_ports

SITE = "north"
QUIET_S = 2.0
"""Seconds without a new image that complete a study: a setting, so it is named apart from what the system takes."""
IDLE_TIMEOUT_S = 300.0
"""Seconds until everything that was sent must have been handled."""


@dataclass(frozen=True, slots=True)
class System:
    """Addresses and keys of a running system."""

    stow: str
    tokens: dict[str, str]
    connections: Connections
    backend: str

    def study_key(self, site: str, study_uid: str) -> str:
        """Pseudonym of a study."""
        return self.connections.pseudonyms(site).study(self.connections.settings.site(site).issuer, study_uid)

    def wait_idle(self) -> None:
        """Wait until no process has anything left to read."""
        deadline = time.monotonic() + IDLE_TIMEOUT_S
        while any(lag_of(self.connections.log, name, reads(name)) for name in consumers()):
            if time.monotonic() > deadline:
                raise RuntimeError("the system did not become idle")
            time.sleep(0.2)


def say(text: str) -> None:
    """Write beside the result."""
    sys.stderr.write(f"{text}\n")


@contextmanager
def running(webhook: str, profile: runs.Profile = "embedded") -> Iterator[System]:
    """Start a run in a folder of its own, stop and delete it at the end."""
    if profile == "cluster":
        resolve(NAMES, say)
    environment, _ = launch.triton_environment()
    name = f"bench-{time.time_ns()}"
    run, settings = runs.create(
        name, {SITE: webhook}, triton=environment is not None, profile=profile, quiet_window_s=QUIET_S
    )
    try:
        launch.start(
            run, settings, Plan(str(environment or ""), free_ports(1)[0], servers=profile == "cluster")
        )
        launch.wait_ready(run, settings)
        connections = connect(settings, "cli")
        try:
            stow = f"http://{settings.stow.host}:{settings.stow.port}"
            tokens = {SITE: runs.token(run, SITE, "gateway", "bench")}
            yield System(stow, tokens, connections, "triton" if environment else "onnxruntime-in-process")
        finally:
            connections.close()
    finally:
        runs.stop(run)
        runs.remove(run)
