"""Alerts by HTTP POST, signed, with a stable Idempotency-Key.

The body names the alert by pseudonyms only; the receiver resolves them through the portal. The signature covers time and
body, so a receiver can refuse what is old or altered: `Radstream-Signature: t=<seconds>,v1=<HMAC-SHA256 hex>`.
Only the first state of an alert pages (`raised`); a revision updates it and pages nobody twice.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from runtime.clock import MICROSECONDS, Clock
from runtime.connections import Connections
from runtime.errors import DeadLetterError, OutageError, StopError
from runtime.publishing import Publisher
from runtime.settings import SiteSettings
from schemas.events import AlertDelivery, AlertState, Event
from schemas.identifiers import deterministic_uuid
from sinks.sink import Outputs, SinkSpec

SPEC = SinkSpec(
    summary="Delivers alerts to a site's webhook, signed, with retry and an Idempotency-Key.",
    reads=("alerts.v1",),
    emits=("alert.deliveries.v1",),
)

CHANNEL = "webhook"
TIMEOUT_S = 5.0
"""Seconds for one try: a pager that takes longer is down."""
ATTEMPTS = 6
"""Tries in one run; with the waits about 15 s. A receiver that stays down is tried again from the log."""
FIRST_WAIT_S = 0.5
"""Seconds before the second try; doubles after each."""
FINAL_STATUSES = frozenset({400, 401, 403, 404, 405, 410, 413, 422})
"""HTTP statuses that no repetition changes."""


def sign(secret: bytes, body: bytes, seconds: int) -> str:
    """Signature header of a body sent at a time (seconds since 1970)."""
    digest = hmac.new(secret, f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={seconds},v1={digest}"


def body_of(alert: AlertState) -> bytes:
    """JSON body of a page; pseudonyms only."""
    content: dict[str, Any] = {
        "alert_id": alert.alert_id,
        "site": alert.envelope.site,
        "study": alert.envelope.study,
        "revision": alert.revision,
        "class": alert.alert_class,
        "finding": alert.finding,
        "probability": alert.probability,
        "rule": alert.rule,
        "reason": alert.reason,
        "received_at": alert.received_at,
        "raised_at": alert.raised_at,
        "demonstration": alert.demonstration,
        "synthetic": alert.synthetic,
    }
    return json.dumps(content, separators=(",", ":"), sort_keys=True).encode()


def wait_before(attempt: int, jitter: float) -> float:
    """Seconds to wait before a try (from 2), with up to a quarter more against herds."""
    return float(FIRST_WAIT_S * 2 ** (attempt - 2) * (1 + 0.25 * jitter))


@dataclass(frozen=True, slots=True)
class Attempt:
    """How the last try ended."""

    attempts: int
    status_code: int
    delivered: bool
    final: bool


@dataclass(frozen=True, slots=True)
class WebhookNotifier:
    """Posts a site's alerts to its address.

    Parameters
    ----------
    sites
        Settings of each site by name; an empty address means the site takes no webhooks.
    secrets
        Signing key of each site.
    client
        HTTP client; redirects are not followed, since a signed page is for its receiver alone.
    clock, publisher, sleep
        Time, and who makes envelopes.
    """

    sites: dict[str, SiteSettings]
    secrets: dict[str, bytes]
    client: httpx.Client
    clock: Clock
    publisher: Publisher
    sleep: Callable[[float], None] = time.sleep

    def write(self, topic: str, event: Event) -> Outputs:
        """Deliver a raised alert; every other state is not for a pager."""
        del topic
        if not isinstance(event, AlertState) or event.state != "raised":
            return ()
        site = self.sites.get(event.envelope.site)
        if site is None or not site.webhook_url:
            return ()
        if site.name not in self.secrets:
            raise StopError("a site with webhook_url needs webhook_secret")
        outcome = self._try(site.webhook_url, self.secrets[site.name], event)
        if not outcome.delivered and not outcome.final:
            raise OutageError("webhook receiver does not answer")
        outputs = (("alert.deliveries.v1", self._delivery(event, outcome)),)
        if not outcome.delivered:
            self.publisher.publish(outputs)
            raise DeadLetterError("webhook-refused")
        return outputs

    def _try(self, url: str, secret: bytes, alert: AlertState) -> Attempt:
        body = body_of(alert)
        status = 0
        for attempt in range(1, ATTEMPTS + 1):
            if attempt > 1:
                jitter = random.random()  # noqa: S311 - spreads tries, keeps no secret
                self.sleep(wait_before(attempt, jitter))
            seconds = self.clock.now() // MICROSECONDS
            headers = {
                "Content-Type": "application/json",
                "Idempotency-Key": idempotency_key(alert),
                "Radstream-Signature": sign(secret, body, seconds),
            }
            try:
                status = self.client.post(url, content=body, headers=headers).status_code
            except httpx.HTTPError:
                status = 0
            if 200 <= status < 300:
                return Attempt(attempt, status, delivered=True, final=True)
            if status in FINAL_STATUSES:
                return Attempt(attempt, status, delivered=False, final=True)
        return Attempt(ATTEMPTS, status, delivered=False, final=False)

    def _delivery(self, alert: AlertState, outcome: Attempt) -> AlertDelivery:
        parent = alert.envelope
        envelope = self.publisher.envelope(
            parent.site,
            parent.study,
            deterministic_uuid(CHANNEL, parent.site, alert.alert_id, str(outcome.delivered)),
            correlation_id=parent.correlation_id,
            causation_id=parent.event_id,
            hops=parent.hops,
        )
        return AlertDelivery(
            envelope=envelope,
            alert_id=alert.alert_id,
            channel=CHANNEL,
            idempotency_key=idempotency_key(alert),
            status="delivered" if outcome.delivered else "failed",
            attempts=outcome.attempts,
            status_code=outcome.status_code,
            delivered_at=self.clock.now(),
        )


def idempotency_key(alert: AlertState) -> str:
    """Same for every delivery of one alert, whoever makes it and however often."""
    return deterministic_uuid("page", alert.envelope.site, alert.alert_id)


def open_sink(connections: Connections) -> WebhookNotifier:
    """Open the notifier on a process's connections."""
    sites = {site.name: site for site in connections.settings.sites}
    secrets = {name: site.webhook_secret.read() for name, site in sites.items() if site.webhook_secret}
    client = httpx.Client(timeout=TIMEOUT_S, follow_redirects=False, trust_env=False)
    return WebhookNotifier(sites, secrets, client, connections.clock, connections.publisher)
