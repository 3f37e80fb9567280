"""Where one set of servers lives: its folder, its ports, its secrets."""

from __future__ import annotations

import json
import secrets
import socket
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from string import Template

from runtime.free_ports import free_ports

HOST = "127.0.0.1"
"""The servers of this folder listen on this machine only."""
TEMPLATES = Path(__file__).with_name("templates")
CONNECT_TIMEOUT_S = 1.0
"""Seconds for one knock at a port."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Every port of the set; `controller`, `storage` and `jmx` are the servers' own."""

    kafka: int
    controller: int
    registry: int
    cql: int
    storage: int
    jmx: int
    objects: int


def answers(port: int) -> bool:
    """Whether somebody listens on a port."""
    with socket.socket() as knock:
        knock.settimeout(CONNECT_TIMEOUT_S)
        return knock.connect_ex((HOST, port)) == 0


@dataclass(frozen=True, slots=True)
class Place:
    """The folder of one set of servers.

    Parameters
    ----------
    folder
        Everything the servers write lies under it.
    ports
        Where they listen.
    """

    folder: Path
    ports: Ports

    def data(self, name: str) -> Path:
        """Folder of a server's data."""
        return self.folder / name

    @property
    def conf(self) -> Path:
        """Folder of the files that the servers read."""
        return self.folder / "conf"

    def log(self, name: str) -> Path:
        """File of what a server says."""
        return self.folder / "logs" / f"{name}.log"

    def secret(self, name: str, initial: str = "") -> Path:
        """File of a secret, made when it is first asked for: random unless the server dictates it."""
        file = self.folder / "secrets" / name
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            file.touch(mode=0o600)
            file.write_text(initial or secrets.token_hex(16), "utf-8")
        return file

    def write(self, template: str, **values: object) -> Path:
        """Fill in a template with the ports and these values, and return the file."""
        ports = {f"{name}_port": port for name, port in asdict(self.ports).items()}
        text = Template((TEMPLATES / template).read_text("utf-8")).substitute(ports | values)
        self.conf.mkdir(parents=True, exist_ok=True)
        file = self.conf / template
        file.write_text(text, "utf-8")
        return file

    def save(self) -> None:
        """Note the ports for whoever opens the place next."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self.folder / "ports.json").write_text(json.dumps(asdict(self.ports)), "utf-8")


def new(folder: Path, ports: Ports | None = None) -> Place:
    """Make a place, or take up the one in that folder on ports that are free now (or given)."""
    place = Place(folder.absolute(), ports or Ports(*free_ports(len(fields(Ports)))))
    place.save()
    return place


def existing(folder: Path) -> Place:
    """Open the place in a folder; FileNotFoundError where there is none."""
    noted = json.loads((folder / "ports.json").read_text("utf-8"))
    return Place(folder.absolute(), Ports(**noted))
