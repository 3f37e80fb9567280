"""Which processes a run consists of: one per gateway, step, sink and notifier, found in the folders."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from dataclasses import dataclass

import sinks
import sinks.notifiers
import stream_processors.steps
from runtime.settings import Settings
from stream_processors import catalogue

NOT_SINKS = frozenset({"__main__", "sink", "runner", "notifier"})
"""Files in `sinks/` that are no destination."""


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
        Whether it writes its address to the run folder (all of ours do).
    """

    name: str
    command: tuple[str, ...]
    reports: bool = True

    @property
    def argv(self) -> list[str]:
        """Whole command line."""
        return [sys.executable, *self.command]


def steps() -> list[str]:
    """Names of all steps."""
    return sorted(info.name for info in pkgutil.iter_modules(stream_processors.steps.__path__))


def destinations() -> list[str]:
    """Names of all sinks."""
    names = (info.name for info in pkgutil.iter_modules(sinks.__path__) if not info.ispkg)
    return sorted(name for name in names if name not in NOT_SINKS)


def channels() -> list[str]:
    """Names of all notifiers."""
    names = (info.name for info in pkgutil.iter_modules(sinks.notifiers.__path__))
    return sorted(name for name in names if name not in NOT_SINKS)


def consumers() -> list[str]:
    """Names of all processes that read topics; each has a dead-letter topic."""
    return [*steps(), *destinations(), *channels()]


def reads(consumer: str) -> tuple[str, ...]:
    """Topics that a consumer declares to read."""
    if consumer in steps():
        return catalogue.load(consumer).reads
    package = sinks.notifiers if consumer in channels() else sinks
    declared: tuple[str, ...] = importlib.import_module(f"{package.__name__}.{consumer}").SPEC.reads
    return declared


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
    """

    triton: str = ""
    triton_http_port: int = 0
    receiver_port: int = 0


def components(settings: Settings, plan: Plan) -> list[Component]:
    """Every process of a run, in the order they are started."""
    found = []
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
    found += [Component(name, ("-m", "stream_processors", name)) for name in steps()]
    found += [Component(name, ("-m", "sinks", name)) for name in destinations()]
    found += [Component(name, ("-m", "sinks", "notify", name)) for name in channels()]
    found.append(Component("portal", ("-m", "portal_api")))
    return found
