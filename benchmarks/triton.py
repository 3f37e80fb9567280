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
from collections.abc import Callable, Iterator
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

ROUNDS = 7
SECONDS = 1.5
"""Of each way in each round: the processor's speed moves within a minute, so each served run lies between two raw ones."""
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
class Round:
    """A served run and the mean of the raw runs before and after it."""

    raw: Run
    """Of one copy, processor time included; the rate is of all copies."""
    triton: Run
    """The processor time is that of the client."""
    server_cpu_ms: float
    """Of the server and its model processes."""


@dataclass(frozen=True)
class Outcome:
    """The rounds of a case."""

    case: Case
    rounds: list[Round]

    def median(self, of: Callable[[Round], float]) -> float:
        """Median of something that each round tells."""
        return statistics.median(map(of, self.rounds))

    @property
    def share(self) -> float:
        """Images per second as a share of the raw ones, round by round."""
        return self.median(lambda each: each.triton.rate / each.raw.rate)

    @property
    def share_of_processor(self) -> float:
        """What the network takes of all processor time, round by round."""
        return self.median(lambda each: each.raw.cpu_ms / (each.server_cpu_ms + each.triton.cpu_ms))

    @property
    def client_ms(self) -> float:
        """Processor time of the client per image."""
        return self.median(lambda each: each.triton.cpu_ms)


CASES = (
    Case(224, 8, 1, True, least=0.95),
    Case(224, 8, 2, True, least=0.95),
    Case(224, 2, 1, True, least=0.85),
    Case(224, 2, 2, True, least=0.85),
    Case(512, 2, 2, True, least=0.65, most_cpu_ms=0.5),
    Case(512, 2, 2, False, most_cpu_ms=1.0),
)


class Bare:
    """So many processes of ONNX Runtime, one thread each; they wait where nothing is asked of them."""

    def __init__(self, spec: ModelSpec, copies: int, batch: int) -> None:
        side = spec.inputs[0].dims[-1]
        command = [sys.executable, "-m", "benchmarks.raw_model", str(spec.file), str(side), str(batch)]
        self._workers = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(copies)
        ]
        for worker in self._workers:
            _line(worker)

    def run(self) -> Run:
        """Let all run at once."""
        for worker in self._workers:
            assert worker.stdin
            worker.stdin.write(f"{SECONDS}\n")
            worker.stdin.flush()
        told = [_line(worker).split() for worker in self._workers]
        rates, costs = zip(*((float(rate), float(cost)) for rate, cost in told), strict=True)
        return Run(sum(rates), statistics.mean(costs) * 1000)

    def close(self) -> None:
        """End the processes."""
        for worker in self._workers:
            worker.communicate()


def _line(worker: subprocess.Popen[str]) -> str:
    assert worker.stdout
    return worker.stdout.readline()


def bare(spec: ModelSpec, copies: int) -> Bare:
    """Raw processes at the batch size that suits them best."""
    rates = {}
    for batch in RAW_BATCHES:
        with contextlib.closing(Bare(spec, copies, batch)) as tried:
            rates[batch] = tried.run().rate
    return Bare(spec, copies, max(rates, key=lambda batch: rates[batch]))


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
    """Raw and served in turns: each served run between two raw ones."""
    rounds = []
    with (
        serving(spec, folder, case.copies) as server,
        contextlib.closing(bare(spec, case.copies)) as raw,
    ):
        before = raw.run()
        for _ in range(ROUNDS):
            run, its = asyncio.run(asked(server, spec, shared_memory=case.shared_memory))
            after = raw.run()
            mean = Run((before.rate + after.rate) / 2, (before.cpu_ms + after.cpu_ms) / 2)
            rounds.append(Round(mean, run, its))
            before = after
    return Outcome(case, rounds)


def measure() -> list[Outcome]:
    """Every case, with the same networks."""
    outcomes = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        specs = {key: model(folder, *key) for key in sorted({(case.side, case.wanted_ms) for case in CASES})}
        for case in CASES:
            outcomes.append(measure_case(case, specs[case.side, case.wanted_ms], folder))
            sys.stderr.write(f"{row(outcomes[-1])}\n")
    return outcomes


def row(o: Outcome) -> str:
    """A line of the table."""
    travel = "shared memory" if o.case.shared_memory else "gRPC"
    return (
        f"| {o.case.side}² | {o.median(lambda each: each.raw.cpu_ms):.1f} | {o.case.copies} | {travel} | {o.share:.2f} "
        f"| {o.share_of_processor:.2f} | {o.case.least or '–'} | {o.median(lambda each: each.triton.rate):.0f} "
        f"| {o.median(lambda each: each.raw.rate):.0f} | {o.client_ms:.2f} | {o.case.most_cpu_ms or '–'} "
        f"| {o.median(lambda each: each.server_cpu_ms):.2f} |"
    )


def missed(outcomes: list[Outcome]) -> list[str]:
    """Name the cases that stay under their limit."""
    return [
        f"{o.case.side}² of {o.case.wanted_ms:g} ms, {o.case.copies} copies ({o.share:.3f} of {o.case.least})"
        for o in outcomes
        if o.share < o.case.least
    ] + [
        f"{o.case.side}², client ({o.client_ms:.2f} ms of {o.case.most_cpu_ms})"
        for o in outcomes
        if o.case.most_cpu_ms is not None and o.client_ms > o.case.most_cpu_ms
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
was spent per image, which other load on the machine moves less. Medians over {ROUNDS} rounds: {SECONDS:g} s served, against the
mean of as long raw before and after.

| {columns} |
|{"---|" * len(COLUMNS)}
{rows}

{verdict(missed(outcomes))}
Load of the machine over the run, its own included: {os.getloadavg()[1]:.1f} on {os.cpu_count()} cores.
"""


if __name__ == "__main__":
    sys.stdout.write(section(measure()))
