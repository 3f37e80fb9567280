"""Starts a run: engines prepared, supervisor detached, every process ready."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import httpx

from cli.components import Plan, components, consumers
from cli.runs import Run
from inference.catalogue import all_models
from inference.repository import render
from inference.server import TritonAbsent, find_server
from runtime.connections import connect
from runtime.prepare import prepare
from runtime.settings import Settings

READY_TIMEOUT_S = 90.0
"""Seconds until every process must have said it is ready, on a slow machine that does other things too."""
PROBE_TIMEOUT_S = 2.0
"""Seconds for one readiness question."""


class NotReadyError(Exception):
    """The run did not become ready; the message names the processes and where their logs are."""


def triton_environment() -> tuple[Path | None, str]:
    """Find the Triton server's environment; None with the reason where there is none."""
    folder = Path(os.environ.get("RADSTREAM_TRITON_ENV", ".venv-triton")).absolute()
    found = find_server(folder)
    if isinstance(found, TritonAbsent):
        return None, found.reason
    return folder, ""


def start(run: Run, settings: Settings, plan: Plan) -> subprocess.Popen[bytes]:
    """Create topics, buckets and tables, then start the supervisor, which is returned, in a session of its own."""
    os.environ["RADSTREAM_SETTINGS"] = str(run.settings_file)
    connections = connect(settings, "cli")
    try:
        prepare(connections, consumers())
    finally:
        connections.close()
    if plan.triton:
        render([model.SPEC for model in all_models().values()], settings.data / "models")
    run.plan_file.write_text(json.dumps(asdict(plan)), "utf-8")
    command = [sys.executable, "-m", "cli.supervisor", str(run.path)]
    logs = run.data / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with (logs / "supervisor.log").open("ab") as log:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )


def address_of(run: Run, component: str) -> str | None:
    """Health address of a process, or None while it has none."""
    try:
        report = json.loads((run.data / "run" / f"{component}.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    address = report.get("health")
    return str(address) if address else None


def is_ready(run: Run, component: str, client: httpx.Client) -> bool:
    """Whether a process says it is ready."""
    address = address_of(run, component)
    if address is None:
        return False
    try:
        return client.get(f"{address}/readyz", timeout=PROBE_TIMEOUT_S).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def unready(run: Run, settings: Settings) -> list[str]:
    """Names of the processes that are not ready now."""
    with httpx.Client(trust_env=False) as client:
        names = [component.name for component in components(settings, Plan()) if component.reports]
        return [name for name in names if not is_ready(run, name, client)]


def wait_ready(run: Run, settings: Settings) -> None:
    """Wait until every process is ready.

    Raises
    ------
    NotReadyError
        Some are not after `READY_TIMEOUT_S` seconds.
    """
    deadline = time.monotonic() + READY_TIMEOUT_S
    while missing := unready(run, settings):
        if time.monotonic() > deadline:
            raise NotReadyError(f"not ready: {', '.join(missing)}; their logs are in {run.data / 'logs'}")
        time.sleep(0.1)
