"""Studies of one image each, in flight together, on real Kafka and real Triton: how they are batched, and one poison event."""

from __future__ import annotations

import base64
import json
import os
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from inference.models import cxr_demo
from inference.repository import render
from inference.server import TritonAbsent, TritonServer, find_server
from inference.training.phantoms import SyntheticIdentity, generate, to_dicom
from runtime.buckets import CLEAN, QUARANTINE
from schemas.codec import decode
from schemas.events import InferenceCompleted, InferenceRequested
from stream_processors.steps.infer import STEP
from tests.support.events import SITE, digest, requested
from tests.support.faust_rig import Rig, rig
from tests.support.installation import study
from tests.support.processes import WAIT_S
from tests.support.servers import SharedServers

ROOT = Path(__file__).parents[2]
SPEC = cxr_demo.SPEC
STUDIES = 16
"""Studies in flight."""
POISON = 7
"""Place of the poison event among them."""
LANES = {"stat": "inference.requested.stat.v1", "routine": "inference.requested.routine.v1"}
COUNTERS = ("nv_inference_count", "nv_inference_exec_count")
"""Images that Triton has read, and the batches in which it read them."""


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    environment = Path(os.environ.get("RADSTREAM_TRITON_ENV") or ROOT / ".venv-triton")
    installation = find_server(environment)
    assert not isinstance(installation, TritonAbsent), installation.reason
    folder = tmp_path_factory.mktemp("triton")
    render([SPEC], folder / "models")
    server = TritonServer(installation, folder / "models", log=folder / "triton.log")
    server.start(timeout_s=WAIT_S)
    yield server
    server.stop()


@pytest.fixture
def kafka(tmp_path: Path, servers: SharedServers, triton: TritonServer) -> Iterator[Rig]:
    cluster = servers.require("kafka")
    address = {"address": triton.grpc_address, "metrics": triton.metrics_address}
    with rig(tmp_path, cluster, reads=STEP.reads, writes=STEP.emits, triton=address) as found:
        yield found


def counted(triton: TritonServer) -> list[float]:
    """Triton's counters of the model; a canary, which the worker sends before it reads anything, is one image in one batch."""
    lines = urllib.request.urlopen(triton.metrics_address).read().decode().splitlines()
    return [
        sum(
            float(line.rpartition(" ")[2])
            for line in lines
            if line.startswith(f"{name}{{") and SPEC.name in line
        )
        for name in COUNTERS
    ]


def request(number: int, priority: str) -> InferenceRequested:
    """One study with one image."""
    event = requested(f"event-{number}", f"image-{number}", ordered_priority=priority, model=SPEC.name)
    return replace(event, envelope=replace(event.envelope, study=study(number), site=SITE))


def store_images(kafka: Rig) -> None:
    identity = SyntheticIdentity("Batch^Test", "B1", "B1", "19600101", "F", datetime(2026, 1, 1, tzinfo=UTC))
    for number in range(STUDIES + 1):
        uids = {
            f"{kind}_uid": f"2.25.{place}{number}" for place, kind in enumerate(("study", "series", "sop"), 1)
        }
        data = to_dicom(generate(number, findings=frozenset()), identity, **uids)
        kafka.made.objects.put(CLEAN, f"{SITE}/image-{number}", data)


@pytest.mark.parametrize("priority", LANES)
def test_sixteen_studies_in_flight_share_batches_and_one_poison_event_fails_alone(
    kafka: Rig, triton: TritonServer, priority: str
) -> None:
    store_images(kafka)
    topic = LANES[priority]
    poison = replace(request(STUDIES, priority), model="none-that-exists")
    events = [request(number, priority) for number in range(STUDIES)]
    events.insert(POISON, poison)
    kafka.made.publisher.publish([(topic, event) for event in events])
    before = counted(triton)
    worker = kafka.start_inferring()
    kafka.until(lambda: kafka.committed() == STUDIES + 1)
    kafka.until(lambda: counted(triton)[0] >= before[0] + STUDIES)
    images, batches = (now - then for now, then in zip(counted(triton), before, strict=True))
    canaries = images - STUDIES
    assert STUDIES / (batches - canaries) >= 4, (
        f"{images:g} images, {canaries:g} alone, in {batches:g} batches"
    )
    done = {
        each.envelope.study: each
        for each in kafka.events(STEP.emits[0])
        if isinstance(each, InferenceCompleted)
    }
    for number in range(STUDIES):
        assert [result.status for result in done[study(number)].results] == ["ok"]
    assert [result.reason for result in done[study(STUDIES)].results] == ["unknown-model"]
    assert_readable(kafka, topic, poison)
    worker.terminate()
    assert worker.wait() == 0


def assert_readable(kafka: Rig, topic: str, poison: InferenceRequested) -> None:
    """The dead letter says what, where and why, and leads to the very record."""
    (letter,) = kafka.letters()
    assert (letter.topic, letter.reason, letter.consumer) == (topic, "unknown-model", kafka.name)
    assert letter.envelope.causation_id == poison.envelope.event_id
    assert letter.envelope.correlation_id == poison.envelope.correlation_id
    assert (letter.envelope.site, letter.envelope.study) == (SITE, poison.envelope.study)
    (record,) = kafka.made.log.read(letter.topic, letter.partition, letter.offset, 1)
    copy = kafka.made.sealed.read(
        QUARANTINE, letter.object_key, site=SITE, study=letter.envelope.study, purpose="test"
    )
    kept = base64.b64decode(json.loads(copy)["value"])
    assert kept == record.value
    assert decode(kept, kafka.made.registry) == poison
    assert digest(f"image-{STUDIES}") == poison.instances[0].digest
