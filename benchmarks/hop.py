"""One hop of the log: our binding of Faust, Faust's stock idiom, and a bare confluent-kafka loop, on one Kafka.

A backlog is waiting when a worker starts. The rate is taken between its first and its last output, by the records' own times.
Processor time is that of the worker's process from the first output seen to the last, and at rest, when all is done.
Ways alternate, and medians are compared.
"""

from __future__ import annotations

import json
import os
import secrets
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

from benchmarks.hop_worker import WAYS, engines
from benchmarks.system import say
from deploy.local.place import new
from deploy.local.resolve import resolve
from deploy.local.servers import Servers, with_needs
from deploy.local.settings import cluster_settings
from runtime.audit import AUDIT_TOPIC
from runtime.clock import SystemClock
from runtime.connections import Connections, assemble
from runtime.errors import OutageError
from runtime.ports import OutgoingRecord
from runtime.prepare import prepare
from runtime.publishing import register_schema
from runtime.settings import SETTINGS_VARIABLE, KeySettings, SecretReference, Settings, SiteSettings
from schemas.codec import encode, from_record
from schemas.events import InstanceReceived
from schemas.identifiers import PseudonymKey
from schemas.topics import dead_letter_topic

RECORDS = 10_000
"""Records in a backlog."""
STUDIES = 500
"""Keys among them."""
PARTITIONS = 6
"""As the product's topics have."""
ROUNDS = 3
PATIENCE_S = 900.0
"""Seconds for one backlog, on a machine that others use as well."""
LOOK_S = 0.02
"""Seconds between two looks at a worker's progress."""
SETTLE_S, REST_S = 3.0, 10.0
"""Seconds from the last output to the rest, and of rest."""


@dataclass(frozen=True, slots=True)
class Hop:
    """Medians of one way: records per second, microseconds of processor time per record, and share of a core at rest."""

    way: str
    rate: float
    cpu_us: float
    at_rest: float


def events(count: int) -> Iterator[InstanceReceived]:
    """Received instances of a few hundred studies."""
    file = resources.files("schemas").joinpath("examples", "instance_received", "typical.json")
    event = from_record(InstanceReceived, json.loads(file.read_text("utf-8")))
    for number in range(count):
        study = f"st-{number % STUDIES:032x}"
        yield replace(event, envelope=replace(event.envelope, study=study, event_id=str(uuid.uuid4())))


@contextmanager
def installation(folder: Path) -> Iterator[Connections]:
    """Kafka on this machine, and settings for it."""
    resolve(with_needs(["kafka"]), say)
    place = new(folder / "servers")
    servers = Servers(place)
    servers.start(["kafka"])
    try:
        settings = described(folder).model_copy(update={"cluster": cluster_settings(place)})
        settings.write(folder / "settings.toml")
        key = PseudonymKey("bench", (folder / "pseudonym").read_bytes())
        settings.data.mkdir(parents=True)
        connections = assemble(settings, "bench", engines(settings), SystemClock(), key)
        patiently(lambda: prepare(connections, ()))
        yield connections
        connections.close()
    finally:
        servers.stop()


def described(folder: Path) -> Settings:
    """Settings of an installation with fresh secrets."""
    for name in ("pseudonym", "vault", "session"):
        (folder / name).write_bytes(secrets.token_bytes(32))
    (folder / "credentials").write_text("[]")

    def kept(name: str) -> SecretReference:
        return SecretReference(f"file:{folder / name}")

    return Settings(
        data=folder / "data",
        sites=[SiteSettings(name="north")],
        keys=KeySettings(
            pseudonym=kept("pseudonym"),
            pseudonym_key_id="bench",
            vault=kept("vault"),
            vault_key_id="bench",
            session=kept("session"),
            credentials=kept("credentials"),
        ),
        log_level="ERROR",
    )


def patiently(call: Callable[[], None]) -> None:
    """Make topics, however long the broker of a busy machine takes."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return call()
        except OutageError:
            if time.monotonic() > deadline:
                raise


def cpu_s(worker: subprocess.Popen[bytes]) -> float:
    """Processor seconds of a process so far."""
    fields = Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def share_at_rest(worker: subprocess.Popen[bytes]) -> float:
    """Share of a core that a worker takes which has nothing to do."""
    time.sleep(SETTLE_S)
    began, before = time.monotonic(), cpu_s(worker)
    time.sleep(REST_S)
    return (cpu_s(worker) - before) / (time.monotonic() - began)


def run_of(connections: Connections, folder: Path, way: str, count: int) -> Hop:
    """Let a worker of its own group work off a backlog, and rest."""
    name = f"hop-{uuid.uuid4().hex[:8]}"
    source = f"{name}.in.v1"
    wanted = {source: PARTITIONS, dead_letter_topic(name): 1}
    patiently(lambda: connections.log.create_topics(wanted))
    before = connections.log.end_offsets(AUDIT_TOPIC)
    number = register_schema(connections.registry, "InstanceReceived")
    producer = connections.log.producer(name)
    records = [
        OutgoingRecord(source, each.envelope.study.encode(), encode(each, number)) for each in events(count)
    ]
    producer.send(records)
    producer.close()
    environment = {**os.environ, SETTINGS_VARIABLE: str(folder / "settings.toml")}
    command = [sys.executable, "-m", "benchmarks.hop_worker", way, name, source, AUDIT_TOPIC]
    with (folder / "worker.log").open("ab") as log:
        worker = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + PATIENCE_S
        begun, at = 0, 0.0
        while (done := written(connections, before)) < count:
            if done and not begun:
                begun, at = done, cpu_s(worker)
            if worker.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{way} did not finish: {(folder / 'worker.log').read_text()[-2000:]}")
            time.sleep(LOOK_S)
        spent = (cpu_s(worker) - at) / max(count - begun, 1)
        at_rest = share_at_rest(worker)
    finally:
        worker.kill()
        worker.wait()
    return Hop(way, rate_of(connections, before), spent * 1e6, at_rest)


def written(connections: Connections, before: dict[int, int]) -> int:
    """Outputs since these offsets."""
    return sum(connections.log.end_offsets(AUDIT_TOPIC).values()) - sum(before.values())


def rate_of(connections: Connections, before: dict[int, int]) -> float:
    """Outputs per second between the first and the last since these offsets."""
    times = [
        record.timestamp
        for partition, end in connections.log.end_offsets(AUDIT_TOPIC).items()
        for offset in (before[partition], end - 1)
        if end > before[partition]
        for record in connections.log.read(AUDIT_TOPIC, partition, offset, 1)
    ]
    span = (max(times) - min(times)) / 1e6
    return written(connections, before) / span if span else float("inf")


def measure(folder: Path) -> list[Hop]:
    """Compare the ways in one run."""
    with installation(folder) as connections:
        runs = [run_of(connections, folder, way, RECORDS) for _ in range(ROUNDS) for way in WAYS]
    return [median([each for each in runs if each.way == way]) for way in WAYS]


def median(runs: list[Hop]) -> Hop:
    """Runs of one way as one."""
    return Hop(
        runs[0].way,
        statistics.median(each.rate for each in runs),
        statistics.median(each.cpu_us for each in runs),
        statistics.median(each.at_rest for each in runs),
    )


def section(hops: list[Hop]) -> str:
    """Write the figures down, ratios first."""
    bare = next(hop for hop in hops if hop.way == "bare")
    stock = next(hop for hop in hops if hop.way == "stock")
    names = {"ours": "our binding", "stock": "stock Faust", "bare": "bare confluent-kafka loop"}
    rows = "\n".join(
        f"| {names[hop.way]} | {hop.rate / stock.rate:.1f} | {hop.rate / bare.rate:.2f} "
        f"| {stock.cpu_us / hop.cpu_us:.1f} | {bare.cpu_us / hop.cpu_us:.2f} "
        f"| {hop.rate:,.0f} | {hop.cpu_us:.0f} | {hop.at_rest:.1%} |"
        for hop in hops
    )
    return f"""## One hop of the log

Consume, decode Avro, make an event, encode, publish; {RECORDS:,} records waiting, {PARTITIONS} partitions, one worker.
Ours and the bare loop confirm what they write before they commit; stock Faust does neither, and loses events
([0012](decisions/0012-faust-binding.md)).
Ours also retries, dead-letters, keeps order by study and writes CloudEvents headers. Time is of the processor; at rest, it is the
share of a core that a worker takes while nothing comes. Median of {ROUNDS} alternating rounds.

| | rate / stock | rate / bare | work per processor second / stock | the same / bare | records/s | µs per record | at rest |
|---|---|---|---|---|---|---|---|
{rows}
"""
