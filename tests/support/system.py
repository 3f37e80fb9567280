"""A whole run in a temporary folder: every process of its own, faults to arm, processes to kill, raw readers.

Nothing here asks the product's own opinion (`status`, `reconcile`, the portal): what there is, is read from the log, the
objects, the tables and the webhook receiver's file.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

import httpx

from cli import launch, runs
from cli.components import Plan
from cli.receiver import read_deliveries
from cli.runs import Run
from runtime.connections import Connections, connect
from runtime.faults import Point
from runtime.free_ports import free_ports
from runtime.ports import Record
from runtime.settings import DeliverySettings, Settings
from schemas.codec import decode
from schemas.events import Event
from schemas.tables import Row
from tests.support.cluster import Engines
from tests.support.processes import wait_until
from tests.support.raw import ClusterRaw, EmbeddedRaw, Raw

E = TypeVar("E", bound=Event)
R = TypeVar("R", bound=Row)
Level = Literal["DEBUG", "INFO", "WARNING", "ERROR"]


@dataclass
class System:
    """One run.

    Parameters
    ----------
    run, settings, plan
        Its folder, its settings, and what it has besides the project's own processes.
    connections
        A reader's own connections to its engines.
    engines
        The real servers that it runs on; none in the embedded profile.
    """

    run: Run
    settings: Settings
    plan: Plan
    connections: Connections
    engines: Engines | None = None
    _tokens: dict[tuple[str, str, str], str] = field(default_factory=dict)
    _supervisors: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def raw(self) -> Raw:
        """Reads the log and the tables."""
        return EmbeddedRaw(self.connections) if self.engines is None else self.cluster

    @cached_property
    def cluster(self) -> ClusterRaw:
        """Reads the real servers."""
        assert self.engines is not None
        return ClusterRaw(self.engines.settings)

    # --- addresses and credentials

    @property
    def stow(self) -> str:
        """Base address of the STOW-RS gateway."""
        return f"http://{self.settings.stow.host}:{self.settings.stow.port}"

    @property
    def portal(self) -> str:
        """Base address of the portal."""
        return f"http://{self.settings.portal.host}:{self.settings.portal.port}"

    def token(self, site: str, role: str = "gateway", user: str = "test") -> str:
        """A token, made at the first call for it."""
        known = (site, role, user)
        if known not in self._tokens:
            self._tokens[known] = runs.token(self.run, site, role, user)
        return self._tokens[known]

    def study_key(self, site: str, study_uid: str) -> str:
        """Pseudonym of a study as its gateway names it."""
        return self.connections.pseudonyms(site).study(self.settings.site(site).issuer, study_uid)

    def instance_key(self, site: str, sop_instance_uid: str) -> str:
        """Pseudonym of an instance."""
        return self.connections.pseudonyms(site).instance(sop_instance_uid)

    # --- processes

    def components(self) -> dict[str, dict[str, Any]]:
        """What the supervisor says of each process: `pid` (None while it has none) and `starts`."""
        try:
            found: dict[str, dict[str, Any]] = json.loads(self.run.supervisor_file.read_text("utf-8"))[
                "components"
            ]
        except (OSError, ValueError):
            return {}
        return found

    def pid(self, component: str) -> int | None:
        """Process id of a component now."""
        known = self.components().get(component)
        return known["pid"] if known else None

    def starts(self, component: str) -> int:
        """How often the supervisor started a component."""
        return int(self.components()[component]["starts"])

    def wait_ready(self) -> None:
        """Wait until every process says it is ready."""
        launch.wait_ready(self.run, self.settings)

    def wait_started(self, component: str, starts: int) -> None:
        """Wait until a component has been started so often and, where it says so, is ready again."""

        def again() -> bool:
            known = self.components().get(component)
            if known is None or known["pid"] is None or known["starts"] < starts:
                return False
            return not known["reports"] or self._is_ready(component, known["pid"])

        wait_until(again, f"{component} ready after start {starts}")

    def _is_ready(self, component: str, pid: int) -> bool:
        try:
            report = json.loads((self.run.data / "run" / f"{component}.json").read_text("utf-8"))
        except (OSError, ValueError):
            return False
        with httpx.Client(trust_env=False) as client:
            return report["pid"] == pid and launch.is_ready(self.run, component, client)

    def kill(self, component: str) -> int:
        """SIGKILL a component's process; returns its id. Starting it again is the supervisor's."""
        wait_until(lambda: self.pid(component) is not None, f"a process of {component}")
        pid = self.pid(component)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        return pid

    def log_text(self, component: str) -> str:
        """Everything a process wrote to its log."""
        return (self.run.data / "logs" / f"{component}.log").read_text("utf-8", errors="replace")

    # --- faults

    def arm(self, component: str, point: Point, count: int = 1) -> None:
        """Have a component die when it reaches a point for the `count`-th time from now."""
        folder = self.run.data / "faults"
        folder.mkdir(exist_ok=True)
        self._fired(component).unlink(missing_ok=True)
        new = folder / f"{component}.new"
        new.write_text(f"{point} {count}", "utf-8")
        new.replace(folder / component)

    def has_fired(self, component: str) -> bool:
        """Whether the order given last was carried out: the process died exactly there."""
        return self._fired(component).exists()

    def _fired(self, component: str) -> Path:
        return self.run.data / "faults" / f"{component}.fired"

    # --- raw reads

    def records(self, topic: str) -> list[Record]:
        """Every record of a topic, repetitions included."""
        return self.raw.records(topic)

    def events(self, topic: str, kind: type[E]) -> list[E]:
        """Every event of a topic, repetitions included."""
        decoded = [decode(record.value, self.connections.registry) for record in self.records(topic)]
        wrong = {type(event).__name__ for event in decoded if not isinstance(event, kind)}
        assert not wrong, f"{topic} holds {wrong}"
        return [event for event in decoded if isinstance(event, kind)]

    def rows(self, row_type: type[R], **prefix: Any) -> list[R]:
        """Every row of a table's partition."""
        return self.raw.rows(row_type, **prefix)

    def row(self, row_type: type[R], **key: Any) -> R | None:
        """The row of a whole key."""
        return next(iter(self.raw.rows(row_type, **key)), None)

    def keys(self, bucket: str, prefix: str = "") -> set[str]:
        """Keys of a bucket's objects."""
        return {info.key for info in self.connections.objects.keys(bucket, prefix)}

    def deliveries(self) -> list[dict[str, str]]:
        """What the webhook receiver took, repetitions included."""
        return read_deliveries(self.run.deliveries)

    def uncommitted(self, group: str, topics: Sequence[str]) -> int:
        """Records of the topics that a group has not acknowledged."""
        return self.raw.uncommitted(group, topics)

    def pending(self, consumer: str, *, due_by: int | None = None) -> int:
        """Deadlines of a step that are not acknowledged; all, or those due by a time (UTC microseconds)."""
        return sum(due_by is None or row.due_at <= due_by for row in self.raw.deadlines(consumer))

    def overdue(self, consumer: str) -> int:
        """Deadlines of a step that are due and not acknowledged."""
        return self.pending(consumer, due_by=self.connections.clock.now())

    # --- life of the whole

    def start(self) -> None:
        """Start every process, and wait until all are ready."""
        self._supervisors.append(launch.start(self.run, self.settings, self.plan))
        self.wait_ready()

    def kill_supervisor(self) -> list[int]:
        """SIGKILL the supervisor alone; returns the ids of its children."""
        children = [known["pid"] for known in self.components().values() if known["pid"]]
        pid = self.run.supervisor_pid()
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: self.run.supervisor_pid() is None, "the supervisor's end")
        return children

    def stop(self) -> None:
        """Stop every process."""
        runs.stop(self.run)
        for supervisor in self._supervisors:
            supervisor.wait()


@contextlib.contextmanager
def system(
    folder: Path,
    *,
    sites: Sequence[str] = ("north",),
    triton: bool | None = None,
    receiver: bool = True,
    quiet_window_s: float = 2.0,
    log_level: Level = "INFO",
    delivery: DeliverySettings | None = None,
    changes: Mapping[str, Any] | None = None,
    engines: Engines | None = None,
    cleaned: Sequence[str] = (),
    started: bool = True,
) -> Iterator[System]:
    """Make a run in a folder, start every process, and stop all at the end.

    Parameters
    ----------
    folder
        Where the run's folder is made.
    sites
        Names of its sites; each has a webhook secret, and an address if there is a receiver.
    triton
        Whether models run on a Triton server; by default where one is installed.
    receiver
        Whether a webhook receiver runs as well, which appends to `System.deliveries`.
    quiet_window_s, log_level, delivery
        As in the settings.
    changes
        Other settings to replace.
    engines
        Real servers to run on (profile `cluster`); by default the embedded ones.
    cleaned
        Sites that have burned-in text blanked.
    started
        Whether to start it at once.
    """
    environment = launch.triton_environment()[0] if triton is not False else None
    assert environment is not None or not triton, "there is no Triton server here"
    port, triton_http = free_ports(2)
    with _home(folder):
        run, settings = runs.create(
            "run",
            dict.fromkeys(sites, f"http://127.0.0.1:{port}/alerts" if receiver else ""),
            triton=environment is not None,
            quiet_window_s=quiet_window_s,
            log_level=log_level,
            cleaned=cleaned,
        )
    replaced = {"delivery": delivery or DeliverySettings(), **(changes or {})}
    if engines is not None:
        replaced |= {"profile": "cluster", "cluster": engines.settings}
    settings = settings.model_copy(update=replaced)
    settings.write(run.settings_file)
    plan = Plan(str(environment or ""), triton_http, port if receiver else 0)
    connections = connect(settings, "cli")
    made = System(run, settings, plan, connections, engines)
    try:
        if started:
            made.start()
        yield made
    finally:
        made.stop()
        made.raw.close()
        connections.close()


@contextlib.contextmanager
def _home(folder: Path) -> Iterator[None]:
    """Have runs made in a folder."""
    before = os.environ.get("RADSTREAM_HOME")
    os.environ["RADSTREAM_HOME"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["RADSTREAM_HOME"]
        else:
            os.environ["RADSTREAM_HOME"] = before
