"""`python -m sinks NAME`, `python -m sinks notify CHANNEL`, `python -m sinks --list`."""

from __future__ import annotations

import asyncio
import sys

from runtime import process
from runtime.connections import Connections
from runtime.process import Stop
from sinks import catalogue
from sinks.runner import SinkRunner


def main(arguments: list[str]) -> int:
    """Run the named sink until it is told to stop."""
    if arguments == ["--list"]:
        sys.stdout.writelines(f"{name:10} {catalogue.load(name).summary}\n" for name in catalogue.names())
        return 0
    name = arguments[-1] if arguments else ""
    known = catalogue.channels() if arguments[:-1] == ["notify"] else catalogue.destinations()
    if name not in known or arguments[:-1] not in ([], ["notify"]):
        sys.stderr.write(
            f"usage: python -m sinks {'|'.join(catalogue.destinations())}\n"
            f"       python -m sinks notify {'|'.join(catalogue.channels())}\n"
        )
        return 2

    async def run(connections: Connections, stop: Stop) -> None:
        sink = catalogue.module(name).open_sink(connections)
        runner = SinkRunner(name, catalogue.load(name), sink, connections)
        running = asyncio.create_task(asyncio.to_thread(runner.run))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        runner.stop()
        stopping.cancel()
        await running

    return process.run(name, run)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
