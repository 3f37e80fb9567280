"""`python -m deploy.local up|down|status|resolve`: Kafka, schema registry, Cassandra and S3 on this machine."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from deploy.local import servers
from deploy.local.place import existing, new
from deploy.local.resolve import NotResolvedError, resolve
from deploy.local.tools import MissingToolError


def say(text: str) -> None:
    """Tell whoever watches."""
    sys.stderr.write(text + "\n")


def default_folder() -> Path:
    """Folder of the servers that belong to no run."""
    return Path(os.environ.get("RADSTREAM_HOME", ".radstream")).absolute() / "servers"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    for name, about in (
        ("resolve", "fetch the programs, once"),
        ("up", "fetch what is missing, start, and wait until all are well"),
        ("down", "stop what `up` started"),
        ("status", "say what runs and whether it is well"),
        ("serve", "become one server (for supervisors)"),
    ):
        action = actions.add_parser(name, help=about)
        action.add_argument("names", nargs="*", choices=[*servers.NAMES, []], metavar="SERVER")
        action.add_argument("--folder", type=Path, default=default_folder(), help="data, logs and ports")
    return parser


def up(folder: Path, names: Sequence[str]) -> None:
    """Fetch, start, wait."""
    resolve(servers.with_needs(names), say)
    began = time.monotonic()
    place = existing(folder) if (folder / "ports.json").exists() else new(folder)
    if not servers.running(place):
        place = new(folder)
    servers.up(place, names)
    say(f"all well after {time.monotonic() - began:.0f} s")
    status(folder)


def status(folder: Path) -> None:
    """Print each running server with its ports, memory and health."""
    if not (folder / "ports.json").exists():
        say("nothing was started here")
        return
    place = existing(folder)
    every = servers.servers(place)
    for name, pid in servers.running(place).items():
        health = "well" if every[name].is_ready() else "not ready"
        ports = ",".join(map(str, every[name].ports))
        sys.stdout.write(f"{name:10} {health:10} pid {pid:<8} ports {ports:24} {resident_mb(pid)} MB\n")


def resident_mb(pid: int) -> int:
    """Resident memory of a process in mebibytes (`VmRSS`); 0 for one that is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("VmRSS:")), 0)


def main(arguments: Sequence[str]) -> int:
    """Do what is asked; the exit status says whether it was done."""
    asked = _parser().parse_args(arguments)
    names = asked.names or servers.NAMES
    try:
        if asked.action == "resolve":
            resolve(servers.with_needs(names), say)
        elif asked.action == "up":
            up(asked.folder, names)
        elif asked.action == "status":
            status(asked.folder)
        elif asked.action == "serve":
            servers.become(existing(asked.folder), names[0])
        elif (asked.folder / "ports.json").exists():
            for name in servers.down(existing(asked.folder)):
                say(f"stopped {name}")
    except (MissingToolError, NotResolvedError, servers.NotStartedError) as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
