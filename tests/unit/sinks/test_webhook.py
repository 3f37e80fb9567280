"""Delivery of alerts: signed, repeated with the same key, given up with a reason."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import json
from collections.abc import Callable
from importlib import resources
from typing import Any

import httpx
import pytest

from runtime.clock import SystemClock
from runtime.errors import DeadLetterError, RetryError, StopError
from runtime.settings import SecretReference, SiteSettings
from schemas.codec import from_record
from schemas.events import AlertDelivery, AlertState, Envelope, Event
from sinks.notifiers.webhook import ATTEMPTS, WebhookNotifier, idempotency_key, wait_before

SECRET = bytes(range(32))


class RecordingPublisher:
    """Makes envelopes and remembers what is published at once."""

    def __init__(self) -> None:
        self.published: list[tuple[str, Event]] = []

    def envelope(self, site: str, study: str, event_id: str, **more: Any) -> Envelope:
        """Return an envelope with the given fields."""
        return dataclasses.replace(alert().envelope, site=site, study=study, event_id=event_id, **more)

    def publish(self, outputs: Any) -> None:
        """Remember."""
        self.published += outputs


def alert(**fields: Any) -> AlertState:
    """Return a raised alert."""
    text = resources.files("schemas").joinpath("examples", "alert_state", "typical.json").read_text("utf-8")
    return dataclasses.replace(from_record(AlertState, json.loads(text)), **({"state": "raised"} | fields))


def notifier(
    answer: Callable[[httpx.Request], httpx.Response], *, site: str = "north", secret: bool = True
) -> tuple[WebhookNotifier, RecordingPublisher, list[float]]:
    """Notifier whose receiver is a function, with the waits it made."""
    waits: list[float] = []
    publisher = RecordingPublisher()
    settings = SiteSettings(
        name=site, webhook_url="http://pager.example/alerts", webhook_secret=SecretReference("env:UNUSED")
    )
    made = WebhookNotifier(
        {site: settings},
        {site: SECRET} if secret else {},
        httpx.Client(transport=httpx.MockTransport(answer)),
        SystemClock(),
        publisher,  # type: ignore[arg-type]
        waits.append,
    )
    return made, publisher, waits


def test_the_signature_covers_time_and_body() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(204)

    notifier(answer)[0].write("alerts.v1", alert())
    (request,) = seen
    parts = dict(part.split("=") for part in request.headers["Radstream-Signature"].split(","))
    expected = hmac.new(SECRET, f"{parts['t']}.".encode() + request.content, hashlib.sha256).hexdigest()
    assert parts["v1"] == expected
    assert request.headers["Idempotency-Key"] == idempotency_key(alert())


def test_a_receiver_that_recovers_gets_the_same_key_each_time() -> None:
    keys: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["Idempotency-Key"])
        return httpx.Response(200 if len(keys) == 3 else 503)

    made, _, waits = notifier(answer)
    ((topic, delivery),) = made.write("alerts.v1", alert())
    assert isinstance(delivery, AlertDelivery)
    assert (topic, delivery.status, delivery.attempts, len(set(keys)), len(waits)) == (
        "alert.deliveries.v1",
        "delivered",
        3,
        1,
        2,
    )


def test_an_alert_is_paged_once_however_it_changes() -> None:
    made, _, _ = notifier(lambda _: httpx.Response(500))
    for state in ("updated", "acknowledged"):
        assert made.write("alerts.v1", alert(state=state)) == ()


def test_a_receiver_that_is_down_is_tried_again_from_the_log() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("down", request=request)

    made, publisher, waits = notifier(refuse)
    with pytest.raises(RetryError):
        made.write("alerts.v1", alert())
    assert len(waits) == ATTEMPTS - 1
    assert publisher.published == []


def test_a_refusal_is_published_as_failed_and_dead_lettered() -> None:
    made, publisher, _ = notifier(lambda _: httpx.Response(410))
    with pytest.raises(DeadLetterError, match="webhook-refused"):
        made.write("alerts.v1", alert())
    ((_, delivery),) = publisher.published
    assert isinstance(delivery, AlertDelivery)
    assert (delivery.status, delivery.status_code) == ("failed", 410)


def test_a_redirect_is_not_followed() -> None:
    made, _, _ = notifier(lambda _: httpx.Response(302, headers={"Location": "http://elsewhere.example/"}))
    with pytest.raises(RetryError):
        made.write("alerts.v1", alert())


def test_a_site_without_an_address_takes_no_pages() -> None:
    made, _, _ = notifier(lambda _: httpx.Response(500), site="south")
    assert made.write("alerts.v1", alert()) == ()


def test_a_site_with_an_address_and_no_secret_stops_the_notifier() -> None:
    made, _, _ = notifier(lambda _: httpx.Response(200), secret=False)
    with pytest.raises(StopError):
        made.write("alerts.v1", alert())


def test_waits_double_and_jitter_adds_at_most_a_quarter() -> None:
    assert [wait_before(attempt, 0.0) for attempt in (2, 3, 4)] == [0.5, 1.0, 2.0]
    assert wait_before(2, 1.0) == 0.625


def test_the_body_names_pseudonyms_only() -> None:
    bodies: list[dict[str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(request.content))
        return httpx.Response(200)

    notifier(answer)[0].write("alerts.v1", alert())
    assert set(bodies[0]) == {
        *("alert_id", "site", "study", "revision", "class", "finding", "probability", "rule", "reason"),
        *("received_at", "raised_at", "demonstration", "synthetic"),
    }
