"""The demonstration's sender speaks PS3.18 §10.5 and reads every form of answer."""

from __future__ import annotations

from email import message_from_bytes
from typing import Any

import httpx
import pytest

from cli.stow_client import Answer, store

ACCEPTED = {"00081199": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": ["1.2.3"]}}]}}
FAILED = {"00081198": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": ["1.2.4"]}}]}}
OTHER = {"0008119A": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [272]}}, {}]}}


def sent(response: httpx.Response, *files: bytes) -> tuple[Answer, httpx.Request]:
    """Send files to a gateway that answers so; returns what the client made of it, and what it sent."""
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return response

    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        told = store(client, "http://gateway.example", "secret", files)
    return told, requests[0]


def test_the_request_is_one_multipart_body_with_a_part_per_file() -> None:
    _, request = sent(httpx.Response(200, json=ACCEPTED), b"first\r\nfile", b"second")
    assert str(request.url) == "http://gateway.example/studies"
    assert request.headers["Authorization"] == "Bearer secret"
    head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
    message = message_from_bytes(head + request.content)
    assert message.get_content_type() == "multipart/related"
    assert message.get_param("type") == "application/dicom"
    parts = message.get_payload()
    assert isinstance(parts, list)
    assert [part.get_content_type() for part in parts] == ["application/dicom"] * 2  # type: ignore[union-attr]
    assert b"\r\n\r\nfirst\r\nfile\r\n--" in request.content


@pytest.mark.parametrize(
    ("status", "content", "accepted", "refused"),
    [
        (200, ACCEPTED, ("1.2.3",), 0),
        (202, ACCEPTED | FAILED, ("1.2.3",), 1),
        (409, FAILED | OTHER, (), 3),
        (200, {}, (), 0),
        (200, [], (), 0),
    ],
)
def test_an_answer_is_counted(status: int, content: Any, accepted: tuple[str, ...], refused: int) -> None:
    assert sent(httpx.Response(status, json=content))[0] == Answer(status, accepted, refused)


def test_an_answer_that_is_no_json_still_has_its_status() -> None:
    assert sent(httpx.Response(503, text="busy"))[0] == Answer(503, (), 0)
