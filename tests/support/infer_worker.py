"""The step `infer` on real Kafka and the Triton of the settings, under a group of its own; the other ports are embedded.

`python -m tests.support.infer_worker GROUP` with `RADSTREAM_SETTINGS`.
"""

from __future__ import annotations

import sys
from functools import partial

from inference.batching import Batcher
from runtime import connections as connecting
from runtime import process
from runtime.connections import Connections
from stream_processors import app, model_server
from stream_processors.steps import infer
from tests.support.faust_worker import QUICK, engines

PATIENCE_S = 120.0
"""Seconds an image waits for company that is announced: on a machine with much else to do, decoding sixteen takes its time."""


def main(group: str) -> None:
    """Run the step until asked to stop."""

    async def work(connections: Connections, stop: process.Stop) -> None:
        async with model_server.model_server(
            connections.settings.triton.address, connections.metrics
        ) as inference:
            await app.run(group, infer.STEP, connections, stop, inference=inference, policy=QUICK)

    connecting.engines = engines
    model_server.Batcher = partial(Batcher, company_s=PATIENCE_S)  # type: ignore[assignment,attr-defined]
    process.run(group, work)


if __name__ == "__main__":
    main(*sys.argv[1:])
