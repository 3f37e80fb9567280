"""Which processes a run consists of: one per gateway, step, sink and notifier, found in the folders."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

from deploy.local.servers import NAMES
from runtime.settings import Settings
from sinks import catalogue as sinks
from stream_processors import catalogue as processors

SERVERS_FOLDER = "servers"
"""Folder of the engines' data and logs, under the run's data."""
SERVER = "server-"
"""What the names of the engines' processes begin with: there is a sink called `objects`, too."""


@dataclass(frozen=True, slots=True)
class Component:
    """One process of a run.

    Parameters
    ----------
    name
        The component's name, everywhere.
    command
        Arguments after the Python interpreter.
    reports
        Whether it writes its address to the run folder (all of ours do); one that does waits for topics and tables.
    group
        Component that several processes share, empty where the name is the component's.
    instance
        What tells it apart from the others of its component.
    """

    name: str
    command: tuple[str, ...]
    reports: bool = True
    group: str = ""
    instance: str = ""

    @property
    def component(self) -> str:
        """The component whose code this process runs."""
        return self.group or self.name

    @property
    def is_server(self) -> bool:
        """Whether it is an engine, which starts before ours and stops after them."""
        return self.name.startswith(SERVER)

    @property
    def argv(self) -> list[str]:
        """Whole command line."""
        return [sys.executable, *self.command]


def consumers() -> list[str]:
    """Names of all processes that read topics; each has a dead-letter topic."""
    return [*processors.names(), *sinks.destinations(), *sinks.channels()]


def reads(consumer: str) -> tuple[str, ...]:
    """Topics that a consumer declares to read."""
    known = processors.load(consumer) if consumer in processors.names() else sinks.load(consumer)
    return known.reads


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run has besides our own components.

    Parameters
    ----------
    triton
        Environment of the Triton server; empty without one.
    triton_http_port
        Port of its HTTP interface, which only its own health check uses.
    receiver_port
        Port of the demonstration's webhook receiver; 0 without one.
    servers
        Whether Kafka, the registry, Cassandra and S3 run on this machine, under the run's folder.
    workers
        Number of processes of a step or sink, where it is not one.
    """

    triton: str = ""
    triton_http_port: int = 0
    receiver_port: int = 0
    servers: bool = False
    workers: dict[str, int] = field(default_factory=dict)


def components(settings: Settings, plan: Plan) -> list[Component]:
    """Every process of a run, in the order they are started."""
    found = _servers(settings) if plan.servers else []
    if plan.receiver_port:
        deliveries = settings.data / "alerts-received.jsonl"
        command = ("-m", "cli.receiver", str(plan.receiver_port), str(deliveries))
        found.append(Component("receiver", command, reports=False))
    if plan.triton:
        found.append(
            Component(
                "triton",
                (
                    "-m",
                    "inference.server",
                    f"--environment={plan.triton}",
                    f"--repository={settings.data / 'models'}",
                    f"--grpc-port={settings.triton.address.rpartition(':')[2]}",
                    f"--http-port={plan.triton_http_port}",
                    f"--metrics-port={settings.triton.metrics.rpartition(':')[2]}",
                ),
                reports=False,
            )
        )
    found.append(Component("stow", ("-m", "producers", "stow")))
    readers = [Component(name, ("-m", "stream_processors", name)) for name in processors.names()]
    readers += [Component(name, ("-m", "sinks", name)) for name in sinks.destinations()]
    readers += [Component(name, ("-m", "sinks", "notify", name)) for name in sinks.channels()]
    for reader in readers:
        found += workers(reader, plan.workers.get(reader.name, 1))
    found.append(Component("portal", ("-m", "portal_api")))
    return found


def workers(reader: Component, count: int) -> list[Component]:
    """So many processes of one component; the first keeps the bare name, so that scaling leaves it in peace."""
    names = [(reader.name, "")] + [(f"{reader.name}-{number}", str(number)) for number in range(2, count + 1)]
    return [
        Component(name, reader.command, group=reader.name, instance=instance)
        for name, instance in names[:count]
    ]


def _servers(settings: Settings) -> list[Component]:
    folder = f"--folder={settings.data / SERVERS_FOLDER}"
    return [
        Component(f"{SERVER}{name}", ("-m", "deploy.local", "serve", name, folder), reports=False)
        for name in NAMES
    ]
