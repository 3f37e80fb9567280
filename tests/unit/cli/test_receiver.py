"""The demonstration's pager takes signed pages only, and counts them by their key."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.receiver import Received, listen, read_deliveries
from sinks.notifiers.webhook import sign

SECRET = bytes(range(32))
PAGE: dict[str, Any] = {"site": "north", "study": "st-1", "alert_id": "a", "finding": "pneumothorax"}
BODY = json.dumps(PAGE).encode()


def test_what_the_notifier_signs_is_taken_and_kept(tmp_path: Path) -> None:
    received = Received({"north": SECRET}, tmp_path / "deliveries.jsonl")
    assert read_deliveries(tmp_path / "deliveries.jsonl") == []
    assert received.take("key", sign(SECRET, BODY, 7), BODY) == 200
    assert received.deliveries == [PAGE | {"key": "key"}]
    assert read_deliveries(tmp_path / "deliveries.jsonl") == received.deliveries


@pytest.mark.parametrize(
    ("key", "signature", "body", "status"),
    [
        ("", sign(SECRET, BODY, 7), BODY, 401),
        ("key", sign(bytes(32), BODY, 7), BODY, 401),
        ("key", sign(SECRET, BODY, 7).replace("t=7", "t=8"), BODY, 401),
        ("key", sign(SECRET, BODY, 7), BODY.replace(b"st-1", b"st-2"), 401),
        ("key", "", BODY, 401),
        ("key", "t=7", BODY, 401),
        ("key", sign(SECRET, BODY, 7), BODY.replace(b"north", b"south"), 401),
        ("key", sign(SECRET, b"[]", 7), b"[]", 400),
        ("key", sign(SECRET, b"{}", 7), b"{}", 400),
        ("key", sign(SECRET, b"no json", 7), b"no json", 400),
    ],
)
def test_what_is_not_signed_by_the_site_for_this_body_and_time_is_refused(
    key: str, signature: str, body: bytes, status: int
) -> None:
    received = Received({"north": SECRET})
    assert received.take(key, signature, body) == status
    assert received.deliveries == []


def test_it_serves_http() -> None:
    received = Received({"north": SECRET})
    server = listen(received)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with httpx.Client(trust_env=False) as client:
            headers = {"Idempotency-Key": "key", "Radstream-Signature": sign(SECRET, BODY, 7)}
            address = f"http://127.0.0.1:{server.server_address[1]}/alerts"
            assert client.post(address, content=BODY, headers=headers).status_code == 200
            assert client.post(address, content=BODY).status_code == 401
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert [delivery["key"] for delivery in received.deliveries] == ["key"]
