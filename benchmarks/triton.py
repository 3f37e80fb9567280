"""Tritonserver, asked by our client, against bare ONNX Runtime on as many threads: images per second and processor time.

python -m benchmarks.triton
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.limits import verdict
from benchmarks.triton_models import images, model
from inference.batching import Batcher
from inference.client import TritonClient
from inference.repository import render
from inference.server import TritonAbsent, TritonServer, find_server
from inference.spec import ModelSpec

ROUNDS = 3
SECONDS = 3.0
"""Of each way in each round."""
WARM_S = 0.7
"""Before a measurement begins; what is under way when it ends is left out, as it is of the raw runs."""
CALLERS = 64
"""Images on their way at once, each with a caller of its own: eight requests of a step in work."""
RAW_BATCHES = (1, 8)
"""Of the raw runs the faster counts: on processors a batch of one often is."""
ENVIRONMENT = "RADSTREAM_TRITON_ENV"


COLUMNS = (
    "image", "network ms", "copies", "tensors by", "Triton / raw", "by processor time", "at least", "images/s",
    "raw images/s", "client ms", "at most", "server and network ms",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A model, how many copies of it run, how tensors travel, and the limits."""

    side: int
    wanted_ms: float
    copies: int
    shared_memory: bool
    least: float = 0.0
    """Share of the raw speed; 0 without a limit."""
    most_cpu_ms: float | None = None
    """Processor time of the client per image; None without a limit."""


@dataclass(frozen=True)
class Run:
    """Images per second, and processor milliseconds per image."""

    rate: float
    cpu_ms: float


@dataclass(frozen=True)
class Outcome:
    """Medians of a case."""

    case: Case
    raw: Run
    """Of one copy, processor time included; the rate is of all copies."""
    triton: Run
    """The processor time is that of the client."""
    server_cpu_ms: float
    """Of the server and its model processes."""


CASES = (
    Case(224, 8, 1, True, least=0.95),
    Case(224, 8, 2, True, least=0.95),
    Case(224, 2, 1, True, least=0.85),
    Case(224, 2, 2, True, least=0.85),
    Case(512, 2, 2, True, least=0.65, most_cpu_ms=0.5),
    Case(512, 2, 2, False, most_cpu_ms=1.0),
)


def raw(spec: ModelSpec, copies: int) -> Run:
    """So many processes with one thread each, at the batch size that suits them best."""
    return max((_raw(spec, copies, batch) for batch in RAW_BATCHES), key=lambda run: run.rate)


def _raw(spec: ModelSpec, copies: int, batch: int) -> Run:
    side = spec.inputs[0].dims[-1]
    command = [
        sys.executable,
        "-m",
        "benchmarks.raw_model",
        str(spec.file),
        str(side),
        str(batch),
        str(SECONDS),
    ]
    workers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(copies)
    ]
    for worker in workers:
        _line(worker)
    for worker in workers:
        assert worker.stdin
        worker.stdin.write("go\n")
        worker.stdin.flush()
    told = [_line(worker).split() for worker in workers]
    for worker in workers:
        worker.communicate()
    rates, costs = zip(*((float(rate), float(cost)) for rate, cost in told), strict=True)
    return Run(sum(rates), statistics.mean(costs) * 1000)


def _line(worker: subprocess.Popen[str]) -> str:
    assert worker.stdout
    return worker.stdout.readline()


@contextlib.contextmanager
def serving(spec: ModelSpec, folder: Path, copies: int) -> Iterator[TritonServer]:
    """A server with so many copies of the model, each on one thread."""
    found = find_server(Path(os.environ.get(ENVIRONMENT) or ".venv-triton"))
    if isinstance(found, TritonAbsent):
        raise SystemExit(found.reason)
    repository = folder / f"{spec.name}-{copies}"
    render([spec], repository, instances=copies)
    server = TritonServer(found, repository, log=folder / "triton.log")
    server.start()
    try:
        yield server
    finally:
        server.stop()


async def asked(server: TritonServer, spec: ModelSpec, *, shared_memory: bool) -> tuple[Run, float]:
    """The batcher and the client of a step, with callers that each have one image; and the server's time per image."""
    client = TritonClient(server.grpc_address, shared_memory=shared_memory)
    ends: list[tuple[float, float]] = []

    def ended(_model: str, what: str, value: float) -> None:
        if what == "images":
            ends.append((time.monotonic(), value))

    batcher = Batcher(client, observe=ended)
    pictures = images(spec.inputs[0].dims[-1], CALLERS)
    over = False

    async def caller(number: int) -> None:
        while not over:
            await batcher.submit(spec, pictures[number])

    callers = [asyncio.create_task(caller(number)) for number in range(CALLERS)]
    try:
        await asyncio.sleep(WARM_S)
        before, spent, served = len(ends), time.process_time(), _cpu_s(server)
        await asyncio.sleep(SECONDS)
        within, own, its = ends[before:], time.process_time() - spent, _cpu_s(server) - served
        over = True
        await asyncio.gather(*callers)
    finally:
        await client.close()
    answered = sum(count for _, count in within)
    return Run(_rate(within), own * 1000 / answered), its * 1000 / answered


def _rate(ends: list[tuple[float, float]]) -> float:
    """Images per second: how steeply their number grows. Copies may end in pairs, and a window cuts a pair: two in a hundred."""
    moments, images = zip(*ends, strict=True)
    return float(np.polyfit(moments, np.cumsum(images), 1)[0])


def _cpu_s(server: TritonServer) -> float:
    """Processor seconds of the server and its model processes so far."""
    total = 0
    for pid in (server.pid, *server.stub_pids()):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def measure_case(case: Case, spec: ModelSpec, folder: Path) -> Outcome:
    """Raw and served in turns; medians."""
    bare, served, server_cpu = [], [], []
    with serving(spec, folder, case.copies) as server:
        for _ in range(ROUNDS):
            bare.append(raw(spec, case.copies))
            run, its = asyncio.run(asked(server, spec, shared_memory=case.shared_memory))
            served.append(run)
            server_cpu.append(its)
    return Outcome(case, _median(bare), _median(served), statistics.median(server_cpu))


def _median(runs: list[Run]) -> Run:
    return Run(statistics.median(r.rate for r in runs), statistics.median(r.cpu_ms for r in runs))


def measure() -> list[Outcome]:
    """Every case, with the same networks."""
    outcomes = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        specs = {key: model(folder, *key) for key in sorted({(case.side, case.wanted_ms) for case in CASES})}
        for case in CASES:
            outcomes.append(measure_case(case, specs[case.side, case.wanted_ms], folder))
            sys.stderr.write(f"{outcomes[-1]}\n")
    return outcomes


def row(o: Outcome) -> str:
    """A line of the table."""
    travel = "shared memory" if o.case.shared_memory else "gRPC"
    processor = o.raw.cpu_ms / (o.server_cpu_ms + o.triton.cpu_ms)
    return (
        f"| {o.case.side}² | {o.raw.cpu_ms:.1f} | {o.case.copies} | {travel} | {o.triton.rate / o.raw.rate:.2f} "
        f"| {processor:.2f} | {o.case.least or '–'} | {o.triton.rate:.0f} | {o.raw.rate:.0f} "
        f"| {o.triton.cpu_ms:.2f} | {o.case.most_cpu_ms or '–'} | {o.server_cpu_ms:.2f} |"
    )


def missed(outcomes: list[Outcome]) -> list[str]:
    """Name the cases that stay under their limit."""
    return [
        f"{o.case.side}² of {o.case.wanted_ms:g} ms, {o.case.copies} copies ({o.triton.rate / o.raw.rate:.3f} of {o.case.least})"
        for o in outcomes
        if o.triton.rate / o.raw.rate < o.case.least
    ] + [
        f"{o.case.side}², client ({o.triton.cpu_ms:.2f} ms of {o.case.most_cpu_ms})"
        for o in outcomes
        if o.case.most_cpu_ms is not None and o.triton.cpu_ms > o.case.most_cpu_ms
    ]


def section(outcomes: list[Outcome]) -> str:
    """Write the figures as a section of the benchmarks' page."""
    rows = "\n".join(row(o) for o in outcomes)
    batches = " or ".join(map(str, RAW_BATCHES))
    columns = " | ".join(COLUMNS)
    return f"""## Triton against bare ONNX Runtime

Generated networks, uint16 images. {CALLERS} callers with one image each through the batcher and the client of a step, and
tritonserver with so many copies of the network on one thread each; beside it as many processes of ONNX Runtime on one thread,
at their better batch size ({batches}). Client, server and network share the machine's two cores: with two
copies, what client and server cost is missing to the network. "By processor time" is the network's share of all that
was spent per image, which other load on the machine moves less. Medians of {ROUNDS} alternating rounds of {SECONDS:g} s.

| {columns} |
|{"---|" * len(COLUMNS)}
{rows}

{verdict(missed(outcomes))}
Load of the machine over the run, its own included: {os.getloadavg()[1]:.1f} on {os.cpu_count()} cores.
"""


if __name__ == "__main__":
    sys.stdout.write(section(measure()))
