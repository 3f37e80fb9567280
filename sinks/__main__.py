"""`python -m sinks NAME`, `python -m sinks notify CHANNEL`, `python -m sinks --list`."""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
import sys
from types import ModuleType

import sinks
import sinks.notifiers
from runtime import process
from runtime.connections import Connections
from runtime.process import Stop
from sinks.runner import SinkRunner


def components() -> dict[str, ModuleType]:
    """Every sink and notifier by name: the folders are the registry."""
    found = {}
    for package in (sinks, sinks.notifiers):
        for info in pkgutil.iter_modules(package.__path__):
            if info.ispkg or info.name in {"__main__", "sink", "runner"}:
                continue
            found[info.name] = importlib.import_module(f"{package.__name__}.{info.name}")
    return found


def main(arguments: list[str]) -> int:
    """Run the named sink until it is told to stop."""
    known = components()
    if arguments == ["--list"]:
        sys.stdout.writelines(f"{name:10} {module.SPEC.summary}\n" for name, module in sorted(known.items()))
        return 0
    name = arguments[-1] if arguments else ""
    if name not in known:
        sys.stderr.write(f"usage: python -m sinks {'|'.join(sorted(known))}\n")
        return 2
    module = known[name]

    async def run(connections: Connections, stop: Stop) -> None:
        runner = SinkRunner(name, module.SPEC, module.open_sink(connections), connections)
        running = asyncio.create_task(asyncio.to_thread(runner.run))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        runner.stop()
        stopping.cancel()
        await running

    return process.run(name, run)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
