"""Asks a process of this host how it is: the health check of a container. Standard library alone, so that asking is cheap.

`python -m runtime.probe [livez|readyz]`, the port in `RADSTREAM__HEALTH__PORT`. A gateway or portal that is not ready must
get no requests (`readyz`); a worker that stands by without a partition is well (`livez`).
"""

from __future__ import annotations

import http.client
import os
import sys

PORT_VARIABLE = "RADSTREAM__HEALTH__PORT"
"""Environment variable that sets the port of `health` in the settings of the process, and tells it to the probe."""
TIMEOUT_S = 4.0
"""Seconds to answer: less than a container's health check waits, so that the reason is told."""
OK, NOT_WELL = 0, 1
"""Exit codes of a container's health check."""


def probe(port: int, question: str) -> tuple[bool, str]:
    """Return whether the process on `port` of this host says that it is well, and its reason where it is not."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", f"/{question}")
        answer = connection.getresponse()
        text = answer.read(200).decode("utf-8", "replace").strip()
    except (OSError, http.client.HTTPException) as error:
        return False, f"no answer: {type(error).__name__}"
    finally:
        connection.close()
    return answer.status == http.client.OK, text


def main(arguments: list[str]) -> int:
    """Ask once and return the exit code."""
    question = arguments[0] if arguments else "readyz"
    well, reason = probe(int(os.environ.get(PORT_VARIABLE, "0")), question)
    sys.stdout.write(f"{reason}\n")
    return OK if well else NOT_WELL


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
