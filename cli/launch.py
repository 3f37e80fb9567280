"""Starts a run: engines prepared, supervisor detached, every process ready."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import httpx

from cli.components import SERVER, SERVERS_FOLDER, Plan, components, consumers
from cli.plan import read_plan, write_plan
from cli.runs import Run
from deploy.local import servers
from deploy.local.place import existing
from inference.catalogue import all_models
from inference.repository import render
from inference.server import TritonAbsent, find_server
from runtime.errors import RetryError
from runtime.patience import until_answered
from runtime.prepare import prepared
from runtime.settings import Settings

READY_TIMEOUT_S = 600.0
"""Seconds until every process must have said it is ready, on a slow machine that does other things too."""
PREPARE_TIMEOUT_S = 300.0
"""Seconds in which engines have to take what is prepared in them: Cassandra and Kafka answer a while after their ports do."""
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
    """Start the supervisor, which is returned, in a session of its own; then create topics, buckets and tables.

    The supervisor starts engines and Triton at once, and our processes when what they need is there.

    Raises
    ------
    NotReadyError
        An engine did not start.
    """
    os.environ["RADSTREAM_SETTINGS"] = str(run.settings_file)
    run.prepared_file.unlink(missing_ok=True)
    if plan.triton:
        render([model.SPEC for model in all_models().values()], settings.data / "models")
    write_plan(run, plan)
    supervisor = _supervise(run)
    try:
        if plan.servers:
            _wait_for_servers(run, settings)
        _prepare(settings)
    except BaseException:
        supervisor.terminate()
        supervisor.wait()
        raise
    run.prepared_file.touch()
    return supervisor


def _prepare(settings: Settings) -> None:
    """Make topics, buckets and tables; an engine that calls itself well may still refuse its first questions."""
    try:
        until_answered(lambda: prepared(settings, "cli", consumers()), patience_s=PREPARE_TIMEOUT_S)
    except RetryError as error:
        raise NotReadyError(f"an engine does not answer: {error}") from error


def _supervise(run: Run) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "cli.supervisor", str(run.path)]
    logs = run.data / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with (logs / "supervisor.log").open("ab") as log:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )


def _wait_for_servers(run: Run, settings: Settings) -> None:
    """Wait until each engine on this machine is well."""
    waiting = servers.servers(existing(settings.data / SERVERS_FOLDER))
    deadline = time.monotonic() + servers.READY_TIMEOUT_S
    while waiting := {name: server for name, server in waiting.items() if not server.is_ready()}:
        if time.monotonic() > deadline:
            logs = (run.data / "logs" / f"{SERVER}{name}.log" for name in waiting)
            said = "\n".join(servers.last_lines(log) for log in logs)
            raise NotReadyError(f"not well: {', '.join(waiting)}\n{said}")
        time.sleep(servers.LOOK_S)


def ill_servers(run: Run) -> set[str]:
    """Names of the engines' processes that do not answer; empty where the run has none of its own."""
    if not read_plan(run).servers:
        return set()
    every = servers.servers(existing(run.data / SERVERS_FOLDER))
    return {f"{SERVER}{name}" for name, server in every.items() if not server.is_ready()}


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
        names = [component.name for component in components(settings, read_plan(run)) if component.reports]
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
