"""Ports for servers that this machine starts: free now, and nobody's by chance while a server is away."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack
from itertools import count as counter
from itertools import islice
from pathlib import Path

HOST = "127.0.0.1"
"""Ports are asked for on the loopback interface."""
FIRST = 10_000
"""Below are the ports that well-known services listen on."""
OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")
"""Where Linux says which ports it gives to outgoing connections: the first and the last."""
OUTGOING_FIRST = 49_152
"""First port of outgoing connections where nothing says so (RFC 6335 §6)."""
OF_ONE_PROCESS = 64
"""Ports from which one process chooses before it comes to those of the next: two that start together do not meet."""

_asked = counter()


def free_ports(count: int) -> list[int]:
    """Find ports that nothing listens on now.

    None is one that the kernel gives to outgoing connections: while a server is down and comes up again, some client's connection
    could stand on such a port, even one that the client opened to the very server and that has met itself.

    Parameters
    ----------
    count
        How many; they differ, also from those that this process was given before, unless it asks for thousands.

    Raises
    ------
    OSError
        There are not so many.
    """
    span = max(_first_outgoing() - FIRST, 1)
    candidates = (FIRST + (os.getpid() * OF_ONE_PROCESS + next(_asked)) % span for _ in range(span))
    with ExitStack() as held:
        found = list(islice((port for port in candidates if _is_free(port, held)), count))
    if len(found) < count:
        raise OSError(f"there are no {count} free ports between {FIRST} and {FIRST + span}")
    return found


def _is_free(port: int, held: ExitStack) -> bool:
    """Take a port until all are found."""
    try:
        held.enter_context(socket.create_server((HOST, port)))
    except OSError:
        return False
    return True


def _first_outgoing() -> int:
    try:
        return int(OUTGOING.read_text("ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return OUTGOING_FIRST
