"""Run folders: each start of Radstream has one, with its settings, its secrets, its data and its processes' addresses.

They lie under `.radstream/` in the folder the command runs in (or under `RADSTREAM_HOME`), so that `radstream down` stops
all that this checkout started and nothing else.
"""

from __future__ import annotations

import base64
import contextlib
import getpass
import json
import os
import secrets
import shutil
import signal
import time
from collections.abc import Container
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, cast

from cli.components import SERVERS_FOLDER
from deploy.local.place import new
from deploy.local.settings import cluster_settings
from runtime.connections import Connections
from runtime.credentials import new_token
from runtime.deidentification import DeidentificationOption
from runtime.free_ports import free_ports
from runtime.settings import (
    ENCODED,
    HttpSettings,
    KeySettings,
    SecretReference,
    Settings,
    SiteSettings,
    StepsSettings,
    TritonSettings,
)
from stream_processors.deidentification.profile import DEFAULT
from stream_processors.deidentification.table import CLEAN_PIXELS

MADE = "token.made"
"""Action of the audit event that a new token leaves."""
TERMINAL_ROLE = "terminal"
"""Role of whoever may run commands on this machine: the operating system let them, no token did."""
Profile = Literal["embedded", "cluster"]

CLEANING = cast("list[DeidentificationOption]", sorted(DEFAULT.options | {CLEAN_PIXELS}))
"""The default's options of de-identification, and Clean Pixel Data."""
SECRET_BYTES = 32
"""Length of every generated key: AES-256 and HMAC-SHA256."""
STOP_TIMEOUT_S = 60.0
"""Seconds the supervisor may take to drain its processes, and then the engines, before it is killed."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run folder."""

    path: Path

    @property
    def name(self) -> str:
        """Folder name, for example `demo-20261121-101502`."""
        return self.path.name

    @property
    def settings_file(self) -> Path:
        """Settings of every process of this run."""
        return self.path / "settings.toml"

    @property
    def secrets(self) -> Path:
        """Folder of the keys (readable by the owner alone)."""
        return self.path / "secrets"

    @property
    def credentials(self) -> Path:
        """Digests of the tokens."""
        return self.secrets / "credentials.json"

    @property
    def data(self) -> Path:
        """Folder of the embedded engines, logs and addresses."""
        return self.path / "data"

    @property
    def deliveries(self) -> Path:
        """What the demonstration's webhook receiver took, as JSON lines."""
        return self.data / "alerts-received.jsonl"

    @property
    def plan_file(self) -> Path:
        """Which processes besides our own components the supervisor keeps."""
        return self.path / "plan.json"

    @property
    def prepared_file(self) -> Path:
        """There once topics, tables and buckets are: our own processes start then."""
        return self.path / "prepared"

    @property
    def supervisor_file(self) -> Path:
        """Process id and state of the supervisor."""
        return self.path / "supervisor.json"

    def supervisor_pid(self) -> int | None:
        """Process id of the running supervisor, or None."""
        try:
            pid = int(json.loads(self.supervisor_file.read_text("utf-8"))["pid"])
        except (OSError, ValueError, KeyError):
            return None
        return pid if _is_supervisor(pid, self) else None


def _is_supervisor(pid: int, run: Run) -> bool:
    """Whether that process is this run's supervisor: process ids are used again."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return False
    return "cli.supervisor" in command and str(run.path) in command


def home() -> Path:
    """Folder of all run folders of this checkout."""
    return Path(os.environ.get("RADSTREAM_HOME", ".radstream")).absolute()


def all_runs() -> list[Run]:
    """Every run folder with settings, newest last."""
    folders = sorted(home().glob("*/settings.toml"), key=lambda file: file.stat().st_mtime)
    return [Run(file.parent) for file in folders]


def running() -> list[Run]:
    """Runs whose supervisor lives."""
    return [run for run in all_runs() if run.supervisor_pid() is not None]


def _secret(run: Run, name: str) -> SecretReference:
    """Create a random key, if there is none yet, and return its reference."""
    file = run.secrets / name
    if not file.exists():
        file.touch(mode=0o600)
        file.write_bytes(ENCODED + base64.b64encode(secrets.token_bytes(SECRET_BYTES)))
    return SecretReference(f"file:{file}")


def claimed(prefix: str, now: datetime) -> str:
    """Name of a new run folder that no other command has or gets, even one that starts in the same moment."""
    home().mkdir(parents=True, exist_ok=True)
    stem = f"{prefix}-{now:%Y%m%d-%H%M%S}"
    name, number = stem, 1
    while True:
        try:
            (home() / name).mkdir(mode=0o700)
        except FileExistsError:
            number += 1
            name = f"{stem}-{number}"
        else:
            return name


def create(
    name: str,
    sites: dict[str, str],
    *,
    triton: bool,
    profile: Profile = "embedded",
    quiet_window_s: float = 10.0,
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO",
    cleaned: Container[str] = (),
) -> tuple[Run, Settings]:
    """Make a run folder with fresh keys and free ports, or take up the one of that name.

    Parameters
    ----------
    name
        Folder name.
    sites
        Webhook address of each site, empty for none.
    triton
        Whether a Triton server is going to run (else ONNX Runtime in-process).
    profile
        Engines: embedded, or real servers of the run's own on this machine.
    quiet_window_s
        Seconds without a new image that complete a study.
    log_level
        Level of every process's log.
    cleaned
        Sites whose images have burned-in text blanked; elsewhere pixels at risk are withheld.
    """
    run = Run(home() / name)
    run.secrets.mkdir(parents=True, exist_ok=True, mode=0o700)
    run.path.chmod(0o700)
    stow, portal, grpc, metrics = free_ports(4)
    settings = Settings(
        profile=profile,
        data=run.data,
        sites=[
            SiteSettings(
                name=site,
                webhook_url=url,
                webhook_secret=_secret(run, f"webhook-{site}"),
                deidentification=CLEANING if site in cleaned else None,
            )
            for site, url in sites.items()
        ],
        keys=KeySettings(
            pseudonym=_secret(run, "pseudonym"),
            pseudonym_key_id="1",
            vault=_secret(run, "vault"),
            vault_key_id="1",
            session=_secret(run, "session"),
            credentials=SecretReference(f"file:{run.credentials}"),
        ),
        stow=HttpSettings(port=stow),
        portal=HttpSettings(port=portal),
        triton=TritonSettings(
            address=f"127.0.0.1:{grpc}" if triton else "", metrics=f"127.0.0.1:{metrics}" if triton else ""
        ),
        steps=StepsSettings(quiet_window_s=quiet_window_s),
        cluster=cluster_settings(new(run.data / SERVERS_FOLDER)) if profile == "cluster" else None,
        log_level=log_level,
    )
    _no_credentials_yet(run)
    run.data.mkdir(parents=True, exist_ok=True)
    settings.write(run.settings_file)
    return run, settings


def _no_credentials_yet(run: Run) -> None:
    """Gateways and portal start before the first token is made: they read an empty file then, and it again when it changes."""
    with contextlib.suppress(FileExistsError), run.credentials.open("x", encoding="utf-8") as file:
        run.credentials.chmod(0o600)
        file.write("[]")


def token(run: Run, site: str, role: str, user: str) -> str:
    """Make a token; only its digest is kept."""
    return new_token(run.credentials, site, role, user)


def audited_token(run: Run, connections: Connections, site: str, role: str, user: str) -> str:
    """Make a token for a person at a terminal: that it was made, by whom and for which role, is on record first."""
    actor = getpass.getuser()
    connections.auditor.used(site, [], MADE, f"{role} token", actor=actor, actor_role=TERMINAL_ROLE)
    return token(run, site, role, user)


def stop(run: Run) -> bool:
    """Stop a run's supervisor, which drains and stops its processes; whether one was running."""
    pid = run.supervisor_pid()
    if pid is None:
        return False
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while _is_supervisor(pid, run):  # to its very end: its file is gone a moment before it is
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            break
        time.sleep(0.05)
    return True


def remove(run: Run) -> None:
    """Delete a run's folder with all its data."""
    shutil.rmtree(run.path, ignore_errors=True)
