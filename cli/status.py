"""`radstream status`: each run's processes, their addresses and what they have still to read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import httpx

from cli import launch
from cli.components import consumers, reads
from cli.runs import Run
from runtime.ports import Log


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """One process.

    Parameters
    ----------
    name
        Component.
    pid
        Process id, 0 while it is not running.
    starts
        How often it was started.
    health
        Address of its health endpoint, or empty.
    state
        `ready`, `not ready` or `down`.
    lag
        Records its component has not acknowledged yet; None where it reads nothing, and for all workers but the first.
    """

    name: str
    pid: int
    starts: int
    health: str
    state: str
    lag: int | None


def lag_of(log: Log, group: str, topics: Sequence[str]) -> int:
    """Records of the topics that a group has not acknowledged."""
    ends = {(topic, part): end for topic in topics for part, end in log.end_offsets(topic).items()}
    return sum(ends.values()) - sum(log.committed(group, ends).values())


def processes(run: Run, log: Log) -> list[ProcessStatus]:
    """State of each process the run's supervisor keeps."""
    try:
        state = json.loads(run.supervisor_file.read_text("utf-8"))["components"]
    except (OSError, ValueError, KeyError):
        return []
    readers, ill = set(consumers()), launch.ill_servers(run)
    found = []
    with httpx.Client(trust_env=False) as client:
        for name, child in state.items():
            pid = child["pid"] or 0
            ready = name not in ill and (not child["reports"] or launch.is_ready(run, name, client))
            condition = "down" if not pid else "ready" if ready else "not ready"
            lag = lag_of(log, name, reads(name)) if name in readers else None
            address = launch.address_of(run, name) or ""
            found.append(ProcessStatus(name, pid, child["starts"], address, condition, lag))
    return found
