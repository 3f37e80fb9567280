"""The real tritonserver: started, asked, hurt and healed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from tritonclient import grpc

from inference.backend import InferenceRejectedError, InferenceUnavailableError, canary
from inference.batching import Batcher
from inference.breaker import FAILURES
from inference.client import TritonClient, watch
from inference.in_process import InProcess
from inference.model_processes import (
    OURS,
    SHARED_MEMORY,
    command_line,
    model_processes,
    remove_leftovers,
    shared_memory_prefix,
)
from inference.models import cxr_demo
from inference.repository import INSTANCES, render
from inference.server import TritonAbsent, TritonServer, find_server
from runtime.free_ports import free_ports
from tests.support.processes import WAIT_S, descendants, wait_until, wait_until_gone

ROOT = Path(__file__).parents[2]
SPEC = cxr_demo.SPEC
STALL_S = 4.0
"""Seconds for which a machine stands still; the server gives its model processes one."""
IMAGES = np.random.default_rng(7).integers(0, 65535, (16, *SPEC.inputs[0].dims), dtype=np.uint16)


@pytest.fixture(scope="module")
def environment():
    return Path(os.environ.get("RADSTREAM_TRITON_ENV") or ROOT / ".venv-triton")


@pytest.fixture(scope="module")
def installation(environment):
    found = find_server(environment)
    assert not isinstance(found, TritonAbsent), found.reason
    return found


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    folder = tmp_path_factory.mktemp("triton") / "models"
    render([SPEC], folder)
    return folder


@pytest.fixture(scope="module")
def server(installation, repository):
    server = TritonServer(installation, repository, log=repository.with_name("triton.log"))
    server.start(timeout_s=WAIT_S)
    yield server
    server.stop()


@pytest.fixture
async def client(server):
    client = TritonClient(server.grpc_address)
    yield client
    await client.close()


async def test_it_gives_the_numbers_that_onnx_runtime_gives_in_this_process(client):
    expected = await InProcess().infer(SPEC, {"image": IMAGES})

    found = await client.infer(SPEC, {"image": IMAGES})

    assert {name: value.shape for name, value in found.items()} == {n: v.shape for n, v in expected.items()}
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-4)


async def test_it_passes_its_canary(client):
    assert await client.ready()
    assert await canary(client, SPEC)


def test_its_model_processes_report_nothing_to_the_maker_of_their_library(server, repository):
    told = [
        Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") for pid in (server.pid, *server.stub_pids())
    ]

    assert len(told) == 1 + INSTANCES
    assert all(b"ORT_DISABLE_TELEMETRY=1" in each for each in told)
    home = repository.with_name("models.server")
    assert not [each for each in home.rglob("*") if each.name in {"Microsoft", "deviceid", "onnxruntime.db"}]


async def test_single_images_of_sixteen_callers_are_computed_in_batches(server, client):
    with grpc.InferenceServerClient(server.grpc_address) as control:
        before = counts(control)
        await asyncio.gather(*(several(client, IMAGES[i : i + 1]) for i in range(16)))
        after = counts(control, at_least=before[0] + 16 * 8)

    inferences, executions = (b - a for a, b in zip(before, after, strict=True))
    assert inferences == 16 * 8
    # Some three to a batch: sixteen images are shared by what two copies compute and what waits in each.
    assert inferences / executions >= 2


async def several(client, image):
    for _ in range(8):
        await client.infer(SPEC, {"image": image})


def counts(control, at_least=0):
    """Inferences and executions; Triton counts an inference a moment after it has answered it."""
    while True:
        stats = control.get_inference_statistics(SPEC.name, as_json=True)["model_stats"][0]
        if int(stats["inference_count"]) >= at_least:
            return int(stats["inference_count"]), int(stats["execution_count"])
        time.sleep(0.05)


async def test_the_batcher_gives_each_image_its_own_answer(client):
    expected = await InProcess().infer(SPEC, {"image": IMAGES})
    batcher = Batcher(client)

    answers = await asyncio.gather(
        *(batcher.submit(SPEC, image, 1 + i % 2) for i, image in enumerate(IMAGES))
    )

    np.testing.assert_allclose([a["logits"] for a in answers], expected["logits"], atol=1e-4)


@pytest.mark.parametrize("shared", [True, False], ids=["shared memory", "gRPC"])
@pytest.mark.parametrize("batch", [IMAGES[:4], list(IMAGES[:4])], ids=["one array", "rows"])
async def test_the_way_of_a_batch_to_the_server_changes_no_number(server, shared, batch):
    expected = await InProcess().infer(SPEC, {"image": IMAGES[:4]})
    client = TritonClient(server.grpc_address, shared_memory=shared)

    answers = await asyncio.gather(*(client.infer(SPEC, {"image": batch}) for _ in range(8)))

    regions = list(SHARED_MEMORY.glob(f"radstream-client-{os.getpid()}-*"))
    await client.close()
    assert bool(regions) == shared
    for answer in answers:
        np.testing.assert_allclose(answer["logits"], expected["logits"], atol=1e-4)
    assert not [region for region in regions if region.exists()]


async def test_a_server_that_forgot_the_regions_is_sent_the_tensors(server):
    client = TritonClient(server.grpc_address, shared_memory=True)
    await client.infer(SPEC, {"image": IMAGES[:1]})
    with grpc.InferenceServerClient(server.grpc_address) as control:
        control.unregister_system_shared_memory()

    answer = await client.infer(SPEC, {"image": IMAGES[:1]})

    assert answer["logits"].shape == (1, len(SPEC.labels))
    await client.close()


async def test_a_server_that_is_away_is_not_asked_again_at_once():
    client = TritonClient(f"127.0.0.1:{free_ports(1)[0]}", shared_memory=False)
    for _ in range(FAILURES):
        with pytest.raises(InferenceUnavailableError, match="is not available"):
            await client.infer(SPEC, {"image": IMAGES[:1]}, deadline_s=5)

    with pytest.raises(InferenceUnavailableError, match="is not asked"):
        await client.infer(SPEC, {"image": IMAGES[:1]}, deadline_s=5)
    await client.close()


async def test_a_request_that_can_never_succeed_is_rejected(client):
    with pytest.raises(InferenceRejectedError):
        await client.infer(SPEC, {"image": IMAGES.astype(np.uint8)})


async def test_a_model_that_is_not_there_is_worth_another_try():
    client = TritonClient(f"127.0.0.1:{free_ports(1)[0]}")

    with pytest.raises(InferenceUnavailableError):
        await client.infer(SPEC, {"image": IMAGES}, deadline_s=5)
    assert not await client.ready()
    await client.close()


async def test_the_server_counts_what_it_did(server, client):
    await client.infer(SPEC, {"image": IMAGES})

    page = await asyncio.to_thread(read, server.metrics_address)
    assert b'nv_inference_request_success{model="cxr_demo"' in page


def read(address):
    with urllib.request.urlopen(address, timeout=5) as page:
        return page.read()


@pytest.mark.parametrize(
    "victims", [slice(1), slice(None)], ids=["one of its processes", "all of its processes"]
)
async def test_a_model_whose_processes_were_killed_is_healed(server, client, victims):
    before = server.stub_pids()
    events = []
    for pid in before[victims]:
        os.kill(pid, signal.SIGKILL)
    assert await client.ready(), "the server itself says that nothing is wrong"

    watching = asyncio.create_task(watch(client, [SPEC], lambda *event: events.append(event), interval_s=0.5))
    while (SPEC.name, "healed") not in events:
        await asyncio.gather(
            *(client.infer(SPEC, {"image": IMAGES}) for _ in range(4)), return_exceptions=True
        )

    watching.cancel()
    assert len(set(server.stub_pids()) - set(before)) == INSTANCES
    await client.infer(SPEC, {"image": IMAGES})


def test_a_stopped_server_leaves_no_process_and_no_shared_memory(installation, repository):
    server = TritonServer(installation, repository, work_folder=repository.with_name("second"))
    server.start(timeout_s=WAIT_S)
    pids = (server.pid, *server.stub_pids())
    assert list(SHARED_MEMORY.glob(shared_memory_prefix(repository) + "*"))

    os.kill(server.pid, signal.SIGKILL)
    server.wait()

    wait_until_gone(pids)


def test_a_server_that_cannot_listen_says_so(server, installation, repository):
    taken = int(server.grpc_address.split(":")[1])
    second = TritonServer(
        installation, repository, grpc_port=taken, work_folder=repository.with_name("third")
    )

    with pytest.raises(RuntimeError, match="exited with status 1"):
        second.start()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_launcher_takes_its_server_along(launched, repository, number):
    ports = free_ports(3)
    launcher = launched(ports)
    server = wait_for_child(launcher)
    wait_until_ready(launcher, ports[1])

    launcher.send_signal(number)
    status = launcher.wait(WAIT_S)

    assert status == (0 if number == signal.SIGTERM else -number)
    wait_until_gone((server,))
    remove_leftovers(repository)
    assert not list(SHARED_MEMORY.glob(f"*-{launcher.pid}-*"))


def test_the_launcher_ends_a_server_that_does_not_end_and_its_model_processes(launched):
    ports = free_ports(3)
    launcher = launched(ports)
    server = wait_for_child(launcher)
    wait_until_ready(launcher, ports[1])
    stubs = descendants(server)
    assert stubs
    for pid in (server, *stubs):
        os.kill(pid, signal.SIGSTOP)

    launcher.send_signal(signal.SIGTERM)

    assert launcher.wait(WAIT_S) == 0
    wait_until_gone((server, *stubs))
    assert not list(SHARED_MEMORY.glob(f"*-{launcher.pid}-*"))


def test_a_server_that_dies_while_it_starts_leaves_no_model_process_and_is_started_again(launched):
    ports = free_ports(3)
    launcher = launched(ports)
    server = wait_for_child(launcher)
    wait_until(lambda: bool(model_processes(server, OURS)), "a model process")
    stubs = model_processes(server, OURS)
    for pid in stubs:
        os.kill(pid, signal.SIGSTOP)

    os.kill(server, signal.SIGKILL)

    wait_until_gone(stubs)
    wait_until_ready(launcher, ports[1])
    launcher.send_signal(signal.SIGTERM)
    assert launcher.wait(WAIT_S) == 0
    assert not list(SHARED_MEMORY.glob(f"*-{launcher.pid}-*"))


def test_a_server_whose_model_process_dies_while_it_starts_is_started_again_at_once(launched):
    ports = free_ports(3)
    launcher = launched(ports)
    server = wait_for_child(launcher)
    wait_until(lambda: bool(model_processes(server, OURS)), "a model process")
    os.kill(server, signal.SIGSTOP)  # it hangs as it does where it waits for the word of a dead process
    stubs = model_processes(server, OURS)
    time.sleep(2)  # its launcher has seen it too

    os.kill(stubs[0], signal.SIGKILL)

    wait_until_gone((server, *stubs))
    wait_until_ready(launcher, ports[1])


def test_a_server_that_takes_a_model_process_for_dead_as_the_machine_stands_still_is_started_again(
    installation, repository
):
    log = repository.with_name("fourth.log")
    server = TritonServer(installation, repository, work_folder=repository.with_name("fourth"), log=log)
    stall = threading.Thread(target=stand_still, args=[server])
    stall.start()
    try:
        server.start()
        stall.join()
        assert log.read_text("utf-8", "replace").count('"loading: ') > 1
    finally:
        server.stop()


def tasks(pid):
    """Threads of a process; none where it has ended."""
    return list(Path(f"/proc/{pid}/task").glob("*"))


def stand_still(server):
    """Hold the first model processes of a server that loads, from when each has said that it lives."""

    def said():
        with contextlib.suppress(RuntimeError):  # it was not started yet
            held[:] = server.stub_pids()
        return len(held) == INSTANCES and all(len(tasks(pid)) > 1 for pid in held)

    held: list[int] = []
    wait_until(said, "model processes")
    for pid in held:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(STALL_S)
    for pid in held:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


@pytest.fixture
def launched(environment, installation, repository):
    """Starts a launcher with these ports; none outlives its test."""
    started = []

    def launch(ports):
        grpc, http, metrics = map(str, ports)
        command = [
            sys.executable, "-m", "inference.server", "--environment", environment, "--repository", repository,
            "--grpc-port", grpc, "--http-port", http, "--metrics-port", metrics,
        ]  # fmt: skip
        started.append(subprocess.Popen(command, cwd=ROOT))  # what it says is shown where its test fails
        return started[-1]

    yield launch
    for launcher in started:
        launcher.kill()
        launcher.wait()


def wait_for_child(launcher):
    """Process id of the server: what the launcher starts, once it is no copy of the launcher any more."""
    while True:
        for child in descendants(launcher.pid):
            if command_line(child)[0].endswith("bin/tritonserver"):
                return child
        assert launcher.poll() is None
        time.sleep(0.02)


def wait_until_ready(launcher, port):
    while True:
        assert launcher.poll() is None
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/health/ready", timeout=1) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.05)
