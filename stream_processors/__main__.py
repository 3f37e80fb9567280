"""`python -m stream_processors STEP` runs one step; `--list` says which there are."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Awaitable, Callable, Sequence

from runtime import process
from runtime.connections import Connections
from stream_processors import catalogue, local


def listing() -> str:
    """Every step with what it does, reads and writes."""
    lines = []
    for name in catalogue.names():
        step = catalogue.load(name)
        lines += [name, f"    {step.summary}", f"    reads {', '.join(step.reads)}"]
        lines += [f"    emits {', '.join(step.emits)}"] if step.emits else []
    return "\n".join(lines)


def engine(profile: str) -> Callable[..., Awaitable[None]]:
    """What runs steps in a profile: only a cluster loads the stream engine."""
    if profile == "cluster":
        from stream_processors import app

        return app.run
    return local.run


async def run_step(name: str, connections: Connections, stop: process.Stop) -> None:
    """Run a step on this profile's log."""
    step = catalogue.load(name)
    run = engine(connections.settings.profile)
    if not step.uses_inference:
        await run(name, step, connections, stop)
        return
    from stream_processors.model_server import (
        model_server,
    )  # only a step that infers loads the libraries for it

    async with model_server(connections.settings.triton.address, connections.metrics) as inference:
        await run(name, step, connections, stop, inference=inference)


def main(arguments: Sequence[str]) -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m stream_processors", description=__doc__)
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("step", nargs="?", choices=catalogue.names(), metavar="STEP", help="step to run")
    choice.add_argument("--list", action="store_true", help="list the steps")
    chosen = parser.parse_args(arguments)
    if chosen.list:
        sys.stdout.write(listing() + "\n")
        return
    process.run(chosen.step, lambda connections, stop: run_step(chosen.step, connections, stop))


if __name__ == "__main__":
    main(sys.argv[1:])
