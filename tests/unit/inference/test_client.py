from __future__ import annotations

import asyncio

import numpy as np
import pytest

from inference import client as module
from inference.backend import InferenceRejectedError, InferenceUnavailableError
from inference.client import TritonClient, classified, watch
from inference.models.cxr_demo import SPEC


class Server(TritonClient):
    """A client whose server is a script: the answers of canaries, and what was asked for."""

    def __init__(self, healthy, *, alive=True, loads=True):
        super().__init__("127.0.0.1:1")
        self.healthy, self.alive, self.loads, self.reloads = list(healthy), alive, loads, 0

    async def infer(self, model, arrays, priority=2, deadline_s=1.0):
        healthy = self.healthy.pop(0) if len(self.healthy) > 1 else self.healthy[0]
        if not healthy:
            raise InferenceUnavailableError("dead")
        return {"logits": np.array([model.golden_logits], dtype=np.float32)}

    async def live(self):
        return self.alive

    async def reload(self, model):
        self.reloads += 1
        if not self.loads:
            raise InferenceUnavailableError("no")


async def watched(server, rounds):
    """What a watch reports in so many rounds."""
    events, left = [], rounds

    async def suspicion(_):
        nonlocal left
        left -= 1
        if not left:
            raise asyncio.CancelledError

    server.suspicion = suspicion
    with pytest.raises(asyncio.CancelledError):
        await watch(server, [SPEC], lambda model, event: events.append(event))
    await server.close()
    return events


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("StatusCode.INVALID_ARGUMENT", InferenceRejectedError),
        ("StatusCode.UNIMPLEMENTED", InferenceRejectedError),
        ("StatusCode.INTERNAL", InferenceUnavailableError),
        ("StatusCode.UNAVAILABLE", InferenceUnavailableError),
        ("StatusCode.NOT_FOUND", InferenceUnavailableError),
        ("StatusCode.DEADLINE_EXCEEDED", InferenceUnavailableError),
        ("None", InferenceUnavailableError),
    ],
)
def test_a_status_carries_the_decision(status, kind):
    assert type(classified("net", status)) is kind


@pytest.mark.parametrize(
    ("script", "reported"),
    [
        ({"healthy": [True]}, []),
        ({"healthy": [False, True]}, ["ill", "healed"]),
        ({"healthy": [False]}, ["ill", "still-ill", "ill", "still-ill"]),
        ({"healthy": [False, False, True]}, ["ill", "still-ill", "healed"]),
        ({"healthy": [False], "loads": False}, ["ill", "still-ill", "ill", "still-ill"]),
        ({"healthy": [False], "alive": False}, []),
    ],
    ids=[
        "healthy",
        "healed at once",
        "not healed",
        "healed later",
        "does not load",
        "the server itself is away",
    ],
)
async def test_the_watch_reports(script, reported):
    server = Server(**script)

    assert await watched(server, 2) == reported
    assert server.reloads == reported.count("ill")


async def test_a_failure_of_any_caller_counts_although_the_canary_lives():
    server = Server([True])
    server._note(SPEC.name, module.INTERNAL, 0)

    assert await watched(server, 2) == ["ill", "healed"]


async def test_a_failure_from_before_the_reload_does_not_count():
    server = Server([True])
    server._loads[SPEC.name] += 1
    server._note(SPEC.name, module.INTERNAL, 0)

    assert await watched(server, 2) == []


async def test_suspicion_wakes_the_watch():
    client = TritonClient("127.0.0.1:1")
    waiting = asyncio.create_task(client.suspicion(3600))
    await asyncio.sleep(0)

    client._note(SPEC.name, module.INTERNAL, 0)

    await waiting
    await client.close()


async def test_a_server_that_is_not_there_is_neither_ready_nor_alive():
    client = TritonClient("127.0.0.1:1")

    assert (await client.ready(), await client.live()) == (False, False)
    with pytest.raises(InferenceUnavailableError):
        await client.reload(SPEC)
    await client.close()
