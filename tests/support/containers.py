"""The engines of `docker-compose.yml` as single containers (testcontainers), for tests that hurt one at a time.

Images, variables, limits and health checks are the composition's; the ports are those of a place of the launcher.
"""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import yaml
from docker.errors import DockerException
from docker.models.containers import Container
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network

from deploy.local.place import HOST, Place
from deploy.local.servers import NAMES, READY_TIMEOUT_S, NotStartedError, servers, with_needs

ROOT = Path(__file__).parents[2]
SERVICES = {"objects": "s3"}
"""What the composition calls a server, where it is not the launcher's name."""
INSIDE = {"kafka": 9092, "registry": 8080, "cassandra": 9042, "objects": 7070}
"""Ports that clients use, inside the containers."""
LAST_LINES = 15
"""Lines of a container's log that say why it did not start."""
LOOK_S = 0.3
"""Seconds between two looks."""
ANSWER_S = 20
"""Seconds in which an engine answers, on a machine that does much else."""


def composition() -> dict[str, Any]:
    """`docker-compose.yml` with every variable at its default."""
    text = (ROOT / "docker-compose.yml").read_text("utf-8")
    plain = re.sub(r"\$\{\w+(?::-([^}]*))?\}", lambda found: found[1] or "", text)
    return dict(yaml.safe_load(plain))


def image(name: str) -> str:
    """Image of a server."""
    return str(composition()["services"][SERVICES.get(name, name)]["image"])


def why_not(*, here: bool) -> str:
    """Why tests cannot have their servers as containers, empty where they can.

    Parameters
    ----------
    here
        Whether the engine must be this machine's own: one elsewhere has other processes, ports and folders.
    """
    try:
        client = docker.from_env(timeout=ANSWER_S)
        told, there = client.info(), {tag for known in client.images.list() for tag in known.tags}
        client.close()
    except (DockerException, OSError):  # requests' own errors are OSErrors
        return "no Docker engine answers"
    if here and (told["Name"], told["KernelVersion"]) != (socket.gethostname(), os.uname().release):
        return f"the Docker engine is that of {told['Name']}, not of this machine"
    missing = [image(name) for name in NAMES if image(name) not in there]
    return f"the Docker engine has no {', '.join(missing)}" if missing else ""


@dataclass(frozen=True, slots=True)
class Running:
    """A container that runs."""

    container: Container

    @property
    def pid(self) -> int:
        """Process id of its first process, on this machine."""
        self.container.reload()
        return int(self.container.attrs["State"]["Pid"])

    def poll(self) -> int | None:
        """Exit code once it ended."""
        self.container.reload()
        state = self.container.attrs["State"]
        return None if state["Running"] else int(state["ExitCode"])


@dataclass(slots=True)
class ContainerServers:
    """Servers of one place as containers, which end with this process; as `deploy.local.servers.Servers`."""

    place: Place
    processes: dict[str, Running] = field(default_factory=dict)
    _made: dict[str, DockerContainer] = field(default_factory=dict)
    _network: Network | None = None

    def start(self, names: Sequence[str]) -> None:
        """Start those that do not run, with what they need, and wait until all are well."""
        for name in with_needs(names):
            running = self.processes.get(name)
            if running is not None and running.poll() is None:
                continue
            if name in self._made:
                self._made[name].get_wrapped_container().start()
            else:
                self._made[name] = self._make(name).start()
            self.processes[name] = Running(self._made[name].get_wrapped_container())
            self._wait(name)

    def kill(self, name: str) -> None:
        """End a server as a power cut would; `start` brings it back, with what was on its disk."""
        running = self.processes.pop(name)
        running.container.kill()
        running.container.wait()

    def stop(self) -> None:
        """Stop and remove all, with their data."""
        for made in reversed(self._made.values()):
            made.stop(force=True, delete_volume=True)
        if self._network is not None:
            self._network.remove()
        self._made.clear()
        self.processes.clear()

    def _make(self, name: str) -> DockerContainer:
        """A container of the composition, on a network of its own and a port of the place."""
        if self._network is None:
            _without_reaper()
            self._network = Network().create()
        whole = composition()
        service = whole["services"][SERVICES.get(name, name)]
        made = DockerContainer(service["image"]).with_network(self._network).with_network_aliases(_host(name))
        made.with_bind_ports(INSIDE[name], servers(self.place)[name].ports[0])
        made.with_envs(**service.get("environment", {}) | _addresses(self.place).get(name, {}))
        for configuration in service.get("configs", ()):
            file = ROOT / whole["configs"][configuration["source"]]["file"]
            made.with_volume_mapping(str(file), configuration["target"], "ro")
        if name == "objects":
            made.with_volume_mapping(str(_keys(self.place)), "/run/s3-keys", "ro")
            made.with_volume_mapping(str(_folder(self.place, name)), "/data", "rw")
        more: dict[str, Any] = {"hostname": _host(name), "init": True, "mem_limit": service["mem_limit"]}
        if service.get("entrypoint"):
            more["entrypoint"] = [_literal(word) for word in service["entrypoint"]]
        if service.get("command"):
            made.with_command([_literal(word) for word in service["command"]])
        return made.with_kwargs(**more)

    def _wait(self, name: str) -> None:
        """Return when a server is well, by the composition's health check and by the launcher's; else NotStartedError."""
        check = composition()["services"][SERVICES.get(name, name)]["healthcheck"]["test"][1:]
        question = [_literal(word) for word in check]
        container, launched = self.processes[name].container, servers(self.place)[name]
        deadline = time.monotonic() + READY_TIMEOUT_S
        while True:
            ended = self.processes[name].poll() is not None
            if ended or time.monotonic() > deadline:
                words = container.logs(tail=LAST_LINES).decode("utf-8", "replace")
                raise NotStartedError(
                    f"{name} {'ended while it started' if ended else 'is not well'}:\n{words}"
                )
            if container.exec_run(question).exit_code == 0 and launched.is_ready():
                return
            time.sleep(LOOK_S)


def _host(name: str) -> str:
    """Its name on the network."""
    return SERVICES.get(name, name)


def _literal(word: str) -> str:
    """A word of the composition as a program gets it."""
    return word.replace("$$", "$")


def _addresses(place: Place) -> dict[str, dict[str, str]]:
    """What is different where clients come from outside the network: Kafka tells them a port of this machine."""
    return {
        "kafka": {
            "KAFKA_LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093,NETWORK://:9094",
            "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://{HOST}:{place.ports.kafka},NETWORK://kafka:9094",
            "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,NETWORK:PLAINTEXT",
            "KAFKA_INTER_BROKER_LISTENER_NAME": "NETWORK",
        },
        "registry": {"APICURIO_KAFKASQL_BOOTSTRAP_SERVERS": "kafka:9094"},
    }


def _keys(place: Place) -> Path:
    """Folder of the S3 server's keys."""
    secret, access = place.secret("s3-secret-key"), place.secret("s3-access-key")
    assert secret.parent == access.parent
    return secret.parent


def _folder(place: Place, name: str) -> Path:
    place.data(name).mkdir(parents=True, exist_ok=True)
    return place.data(name)


def _without_reaper() -> None:
    """Do without the container that removes what a killed test run left, where its image is not there and cannot be pulled."""
    client = docker.from_env(timeout=ANSWER_S)
    if not client.images.list(testcontainers_config.ryuk_image):
        testcontainers_config.ryuk_disabled = True
    client.close()
