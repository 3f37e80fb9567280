"""`radstream demo`: a whole run on this machine, from files to findings, alerts and a ranked worklist."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx

from cli import launch, outcome, runs, stow_client
from cli.components import Plan
from cli.demo_studies import Sent, studies
from cli.outcome import StudyOutcome
from cli.receiver import read_deliveries
from cli.runs import Run
from runtime.connections import Connections, connect
from runtime.free_ports import free_ports
from runtime.settings import Settings
from schemas.summary import DemoSummary
from schemas.tables import day_of

SITES = ("north", "south")
SITES_CLEANED = ("north",)
"""Sites whose ultrasounds lose their burned-in text and are read; the other's are withheld."""
QUIET_WINDOW_S = 4.0
"""Seconds: shorter than a hospital's, since the demonstration's senders send each study in one request."""
SETTLE_TIMEOUT_S = 120.0
"""Seconds until everything sent must have come to an end."""
CONNECTIONS = 3
"""Senders at the same time."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Demonstration:
    """What a demonstration left.

    Parameters
    ----------
    run
        Its run folder.
    settings
        Its settings.
    sent
        What was sent.
    outcomes
        What became of the studies, in the order they were sent.
    summary
        The figures.
    reader_token
        A development token for the portal.
    """

    run: Run
    settings: Settings
    sent: tuple[Sent, ...]
    outcomes: tuple[StudyOutcome, ...]
    summary: DemoSummary
    reader_token: str


def _send_all(
    settings: Settings, tokens: dict[str, str], to_send: Sequence[Sent]
) -> list[stow_client.Answer]:
    address = f"http://{settings.stow.host}:{settings.stow.port}"
    with httpx.Client(trust_env=False) as client, ThreadPoolExecutor(CONNECTIONS) as pool:
        return list(
            pool.map(lambda sent: stow_client.store(client, address, tokens[sent.site], sent.files), to_send)
        )


def _study_keys(connections: Connections, to_send: Sequence[Sent]) -> list[tuple[str, str]]:
    issuers = {site.name: site.issuer for site in connections.settings.sites}
    return [
        (sent.site, connections.pseudonyms(sent.site).study(issuers[sent.site], sent.study_instance_uid))
        for sent in to_send
        if sent.kind != "damaged"
    ]


def _settled(
    outcomes: Sequence[StudyOutcome], delivered: set[str], refused: int, expected_refused: int
) -> bool:
    alerts = sum(len(found.alerts) for found in outcomes)
    return (
        all(found.finished for found in outcomes) and len(delivered) >= alerts and refused >= expected_refused
    )


def _watch(
    connections: Connections, to_send: Sequence[Sent], deliveries: Path, say: Say
) -> tuple[list[StudyOutcome], Counter[str], set[str]]:
    keys = _study_keys(connections, to_send)
    damaged = sum(len(sent.files) for sent in to_send if sent.kind == "damaged")
    today = day_of(connections.clock.now())
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    said = -1
    while True:
        outcomes = [outcome.read(connections.tables, site, study) for site, study in keys]
        refused = outcome.quarantined(connections.tables, SITES, [today])
        delivered = {delivery["key"] for delivery in read_deliveries(deliveries)}
        finished = sum(found.finished for found in outcomes)
        if finished != said:
            say(f"{finished} of {len(outcomes)} studies have a result, {len(delivered)} alerts delivered")
            said = finished
        if _settled(outcomes, delivered, refused.total(), damaged) or time.monotonic() > deadline:
            return outcomes, refused, delivered
        time.sleep(0.2)


def summarise(
    to_send: Sequence[Sent],
    outcomes: Sequence[StudyOutcome],
    refused: Counter[str],
    delivered: set[str],
    *,
    seconds: float,
    portal_url: str,
) -> DemoSummary:
    """Count what became of what was sent."""
    kinds = [sent.kind for sent in to_send if sent.kind != "damaged"]
    finished = [(kind, found) for kind, found in zip(kinds, outcomes, strict=True) if found.finished]
    rows = [found.row for _, found in finished if found.row is not None]
    backends = sorted({row.backend for row in rows if row.backend})
    reasons = Counter(row.result_reason or "" for row in rows if row.result_status == "not-analysed")
    return DemoSummary(
        studies=len(finished),
        public_studies=sum(kind == "public" for kind, _ in finished),
        synthetic_studies=sum(kind == "synthetic" for kind, _ in finished),
        instances=sum(found.instances for _, found in finished),
        findings=sum(found.positive for _, found in finished),
        not_analysed=dict(reasons.most_common()),
        alerts_delivered=len(delivered),
        quarantined=dict(refused.most_common()),
        hops=outcome.median_hops(found for _, found in finished),
        seconds=round(seconds, 1),
        portal_url=portal_url,
        inference_backend="+".join(backends),
    )


def demonstrate(
    *, exit_after: bool, json_file: Path | None, say: Say, profile: runs.Profile = "embedded"
) -> Demonstration:
    """Run the demonstration and leave it running unless `exit_after`.

    Raises
    ------
    cli.launch.NotReadyError
        The processes did not become ready.
    """
    began = time.monotonic()
    environment, why_not = launch.triton_environment()
    if environment is None:
        say(f"No Triton server here ({why_not}); the model runs by ONNX Runtime in-process.")
    port, triton_http = free_ports(2)
    run, settings = runs.create(
        runs.claimed("demo", datetime.now(UTC)),
        dict.fromkeys(SITES, f"http://127.0.0.1:{port}/alerts"),
        triton=environment is not None,
        profile=profile,
        quiet_window_s=QUIET_WINDOW_S,
        cleaned=SITES_CLEANED,
    )
    tokens = {site: runs.token(run, site, "gateway", f"demo-sender-{site}") for site in SITES}
    reader_token = runs.token(run, SITES[0], "radiologist", "dr-reader")
    done = False
    try:
        launch.start(
            run, settings, Plan(str(environment or ""), triton_http, port, servers=profile == "cluster")
        )
        say("Generating chest X-rays and copying public sample files while the processes start")
        to_send = tuple(studies())
        launch.wait_ready(run, settings)
        say(
            f"All processes ready after {time.monotonic() - began:.1f} s; sending {len(to_send)} studies by STOW-RS"
        )
        _send_all(settings, tokens, to_send)
        connections = connect(settings, "cli")
        try:
            outcomes, refused, delivered = _watch(connections, to_send, run.deliveries, say)
        finally:
            connections.close()
        done = True
    finally:
        if exit_after or not done:
            runs.stop(run)
    portal_url = "" if exit_after else f"http://{settings.portal.host}:{settings.portal.port}/"
    seconds = time.monotonic() - began
    summary = summarise(to_send, outcomes, refused, delivered, seconds=seconds, portal_url=portal_url)
    if json_file is not None:
        json_file.write_text(json.dumps(asdict(summary), indent=2) + "\n", "utf-8")
    return Demonstration(run, settings, to_send, tuple(outcomes), summary, reader_token)
