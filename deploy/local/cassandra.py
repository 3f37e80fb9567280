"""One Cassandra node, with passwords."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

from deploy.local import tools
from deploy.local.place import CONNECT_TIMEOUT_S, HOST, Place
from deploy.local.resolve import programs

FIRST_ROLE = "cassandra"
"""The role that Cassandra makes at its first start, and its password; on one machine's loopback it stays."""
STARTUP, ANSWER, AUTHENTICATE, SUCCESS = 0x01, 0x0F, 0x03, 0x10
"""Opcodes of the native protocol, version 4 (§2.4): our two messages and the two answers that let us in."""


def _message(opcode: int, body: bytes) -> bytes:
    """One frame of the native protocol, version 4 (§2): version, flags, stream, opcode, length."""
    return struct.pack(">BBhBi", 0x04, 0, 0, opcode, len(body)) + body


def _opcode(connection: socket.socket) -> int:
    """Read one frame and return its opcode."""
    with connection.makefile("rb") as stream:
        header = stream.read(9)
        if len(header) < 9:
            return -1
        _, _, _, opcode, length = struct.unpack(">BBhBi", header)
        stream.read(length)
    return int(opcode)


def lets_in(port: int, user: str, password: str) -> bool:
    """Whether a node takes this login; False while it is still starting."""
    version = b"\x00\x01\x00\x0bCQL_VERSION\x00\x053.0.0"
    login = f"\x00{user}\x00{password}".encode()
    try:
        with socket.create_connection((HOST, port), CONNECT_TIMEOUT_S) as connection:
            connection.sendall(_message(STARTUP, version))
            if _opcode(connection) != AUTHENTICATE:
                return False
            connection.sendall(_message(ANSWER, struct.pack(">i", len(login)) + login))
            return _opcode(connection) == SUCCESS
    except OSError:
        return False


@dataclass(frozen=True, slots=True)
class Cassandra:
    """The Cassandra server of a place."""

    place: Place
    name: str = "cassandra"

    @property
    def ports(self) -> tuple[int, ...]:
        """Ports it listens on."""
        ports = self.place.ports
        return (ports.cql, ports.storage, ports.jmx)

    def command(self) -> list[str]:
        """Write its files and return its command line."""
        data, jars = self.place.data(self.name), programs()[self.name].folder
        self.place.write("cassandra.yaml", data=data)
        self.place.write("cassandra-logback.xml")
        options = self.place.write("cassandra-java.options", data=data, conf=self.place.conf)
        (agent,) = jars.glob("jamm-*.jar")
        main = "org.apache.cassandra.service.CassandraDaemon"
        return [str(tools.java()), f"@{options}", f"-javaagent:{agent}", "-cp", f"{jars}/*", main]

    def environment(self) -> dict[str, str]:
        """Variables it reads: none."""
        return {}

    def is_ready(self) -> bool:
        """Whether it lets the first role in: the role is made a moment after the port opens."""
        return lets_in(self.place.ports.cql, FIRST_ROLE, FIRST_ROLE)
