"""Regions that requests take in turns: none is lost, whatever becomes of its request."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from inference import shared_memory
from inference.backend import InferenceUnavailableError
from inference.client import TritonClient
from inference.models.cxr_demo import SPEC
from inference.shared_memory import FOLDER, REGIONS, SharedInputs

IMAGE = {"image": np.zeros((1, *SPEC.inputs[0].dims), dtype=np.uint16)}


class Answer:
    def as_numpy(self, _name):
        return np.zeros((1, 1), dtype=np.float32)


class Wire:
    """The library's client: what it registers, and what a request comes to."""

    def __init__(self, outcome=None):
        self.outcome, self.registered, self.sent, self.shared = outcome, [], 0, 0

    async def register_system_shared_memory(self, name, _key, _size, client_timeout):
        assert client_timeout > 0
        self.registered.append(name)

    async def unregister_system_shared_memory(self, name, client_timeout):
        assert client_timeout > 0
        self.registered.remove(name)

    async def infer(self, _model, inputs, **_):
        through = inputs[0]._get_tensor().parameters
        self.shared += bool(through)
        self.sent += not through
        if self.outcome == "silence":
            await asyncio.sleep(3600)
        if self.outcome is not None and through:
            raise InferenceServerException("no", status=self.outcome)
        return Answer()

    async def close(self):
        return


@pytest.fixture
async def client(request):
    made = TritonClient("127.0.0.1:1", shared_memory=True)
    made._client = Wire(getattr(request, "param", None))
    made._shared = SharedInputs(made._client)
    yield made
    await made.close()
    assert made._client.registered == []


async def ask(client, times=1, deadline_s=5.0):
    for _ in range(times):
        try:
            await client.infer(SPEC, IMAGE, deadline_s=deadline_s)
        except InferenceUnavailableError:
            client._circuit = client._circuit.succeeded()


@pytest.mark.parametrize("form", [np.asarray, list], ids=["one array", "rows"])
async def test_tensors_lie_one_after_the_other_in_the_region(client, form):
    first = np.arange(12, dtype=np.uint16).reshape(2, 2, 3)[:, ::-1]
    second = np.arange(4, dtype=np.float32).reshape(2, 2)

    (name, _), inputs = await client._shared.lend({"a": form(first), "b": form(second)})

    assert (FOLDER / name).read_bytes()[: 24 + 16] == first.tobytes() + second.tobytes()
    assert [(i.name(), i.shape(), i.datatype()) for i in inputs] == [
        ("a", [2, 2, 3], "UINT16"),
        ("b", [2, 2], "FP32"),
    ]


async def test_requests_one_after_the_other_share_one_region(client):
    await ask(client, 5)

    assert (client._client.shared, client._client.sent, len(client._client.registered)) == (5, 0, 1)


@pytest.mark.parametrize(
    "client",
    ["silence", "StatusCode.DEADLINE_EXCEEDED", "StatusCode.UNAVAILABLE", "StatusCode.INTERNAL"],
    indirect=True,
)
async def test_a_request_without_an_answer_costs_no_region(client):
    await ask(client, 2 * REGIONS, deadline_s=0.01)

    assert len(client._client.registered) == 1
    client._client.outcome = None
    await ask(client)
    assert client._client.shared == 2 * REGIONS + 1
    assert client._client.sent == 0


async def test_a_cancelled_request_gives_its_region_back(client):
    client._client.outcome = "silence"
    waiting = asyncio.create_task(client.infer(SPEC, IMAGE))
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    client._client.outcome = None
    await ask(client)

    assert len(client._client.registered) == 1


async def test_more_requests_than_regions_are_sent(client):
    client._client.outcome = "silence"
    waiting = [asyncio.create_task(client.infer(SPEC, IMAGE)) for _ in range(REGIONS + 2)]
    await asyncio.sleep(0.05)

    assert (client._client.shared, client._client.sent) == (REGIONS, 2)
    for each in waiting:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


@pytest.mark.parametrize("client", ["StatusCode.NOT_FOUND"], indirect=True)
async def test_a_server_that_does_not_know_the_region_is_sent_the_tensor_and_tried_again_later(
    client, monkeypatch
):
    await ask(client, 2)
    assert (client._client.shared, client._client.sent) == (1, 2)

    client._client.registered.clear()  # it was started again
    client._client.outcome = None
    monkeypatch.setattr(client._shared, "_usable_from", 0.0)
    await ask(client)

    assert client._client.shared == 2
    assert len(client._client.registered) == 1


async def test_a_registration_that_is_cancelled_leaves_nothing_behind(client, monkeypatch):
    before = set(FOLDER.glob(f"{client._shared._prefix}*"))

    async def never(*_, **__):
        await asyncio.sleep(3600)

    monkeypatch.setattr(client._client, "register_system_shared_memory", never)
    with pytest.raises(InferenceUnavailableError):
        await client.infer(SPEC, IMAGE, deadline_s=0.01)

    assert set(FOLDER.glob(f"{client._shared._prefix}*")) == before == set()


async def test_regions_are_gone_after_closing():
    made = SharedInputs(Wire())
    lent = await made.lend(IMAGE)
    assert lent is not None
    made.give_back(lent[0])
    assert list(FOLDER.glob(f"{made._prefix}*"))

    await made.close()

    assert not list(FOLDER.glob(f"{made._prefix}*"))
    assert await made.lend(IMAGE) is None


def test_only_this_machines_addresses_share_memory():
    assert shared_memory.shares_host("127.0.0.1:8001")
    assert not shared_memory.shares_host("triton:8001")
