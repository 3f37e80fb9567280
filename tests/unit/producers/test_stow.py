from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from producers import stow
from producers.stow import Gateway
from runtime.buckets import RAW
from runtime.connections import Connections
from runtime.credentials import Credentials, new_token
from runtime.errors import RetryError, StopError
from tests.support.gateways import BOUNDARY, connections_in, dicom, multipart, received

TYPE = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'


@pytest.fixture
def connections(tmp_path) -> Iterator[Connections]:
    opened = connections_in(tmp_path)
    yield opened
    opened.close()


def post(
    connections: Connections, folder: Path, body: bytes | AsyncIterator[bytes]
) -> tuple[httpx.Response, bool]:
    """Post to a gateway in this process; also whether it then wants to end."""

    async def exchange() -> tuple[httpx.Response, bool]:
        token = new_token(folder / "credentials.json", "north", "gateway", "sender")
        gateway = Gateway(connections, Credentials(connections.settings.keys.credentials))
        transport = httpx.ASGITransport(gateway.app())
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            response = await client.post(
                "/studies", content=body, headers={"Content-Type": TYPE, "Authorization": f"Bearer {token}"}
            )
        gateway.close()
        return response, gateway.failed.done() and gateway.failed.exception() is not None

    return asyncio.run(exchange())


@pytest.mark.parametrize(
    ("limit", "value", "parts", "status", "reason"),
    [
        pytest.param("MAX_PARTS", 2, 3, 202, "", id="too many parts, two of them stored"),
        pytest.param("MAX_PARTS", 0, 1, 413, "too-many-parts", id="no part allowed"),
        pytest.param("MAX_PART_BYTES", 500, 1, 413, "part-too-large", id="a part too large"),
    ],
)
def test_limits_are_held_and_what_came_before_them_is_kept(
    connections, tmp_path, monkeypatch, limit, value, parts, status, reason
):
    monkeypatch.setattr(stow, limit, value)
    response, _ = post(connections, tmp_path, multipart([dicom("1.2.3") for _ in range(parts)]))
    assert response.status_code == status
    assert response.json().get("error", "") == reason
    published = [each for event in received(connections) for each in event.instances]
    assert len(published) == (2 if status == 202 else 0)
    assert len(list(connections.objects.keys(RAW))) == len(published)


def test_a_sender_that_falls_silent_is_let_go(connections, tmp_path, monkeypatch):
    monkeypatch.setattr(stow, "IDLE_S", 0.05)

    async def half() -> AsyncIterator[bytes]:
        yield multipart([dicom()])[:300]
        await asyncio.sleep(30)

    response, _ = post(connections, tmp_path, half())
    assert (response.status_code, response.json()["error"]) == (408, "silence")
    assert list(connections.objects.keys(RAW)) == []


class Failing:
    """An object writer whose store stops answering."""

    def write(self, data: bytes | memoryview) -> None:
        raise RetryError("not answering")

    def commit(self) -> None:
        raise RetryError("not answering")

    def abort(self) -> None:
        """Nothing was kept."""


def no_store(*_args: object) -> object:
    raise RetryError("not answering")


@pytest.mark.parametrize("opened", [no_store, lambda *_: Failing()], ids=["at its begin", "in the middle"])
def test_a_store_that_does_not_answer_means_send_again(connections, tmp_path, monkeypatch, opened):
    with monkeypatch.context() as patched:
        patched.setattr(connections.sealed, "open_write", opened, raising=False)
        response, ends = post(connections, tmp_path, multipart([dicom(), dicom()]))
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0
    assert not ends
    assert received(connections) == []


@pytest.mark.parametrize(("owner", "method"), [("sealed", "digest"), ("publisher", "publish")])
def test_an_error_after_which_it_must_not_go_on_ends_the_gateway(
    connections, tmp_path, monkeypatch, owner, method
):
    def stopping(*_args: object, **_kwargs: object) -> None:
        raise StopError("the topic is missing")

    monkeypatch.setattr(getattr(connections, owner), method, stopping, raising=False)
    response, ends = post(connections, tmp_path, multipart([dicom()]))
    assert response.status_code == 503
    assert ends
    assert "topic" not in response.text


def test_a_request_is_counted_and_timed(connections, tmp_path):
    post(connections, tmp_path, multipart([dicom()]))
    post(connections, tmp_path, b"")
    text = connections.metrics.exposition().decode()
    assert 'radstream_instances_received_total{component="stow",site="north"} 1.0' in text
    assert 'radstream_requests_refused_total{component="stow",site=""} 1.0' in text
    assert 'radstream_request_seconds_count{component="stow",site=""} 2.0' in text
