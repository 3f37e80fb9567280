"""docker-compose.yml as it stands, started for real: workers and engines are killed, nothing is lost or doubled."""

from __future__ import annotations

import io
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial

import httpx
import pytest
from dicomweb_client.api import DICOMwebClient
from pydicom import Dataset, dcmread
from requests import Session

from runtime.free_ports import free_ports
from tests.containers.composition import (
    Composition,
    docker,
    leftovers,
    settings_with_webhook,
    wait_for,
)
from tests.support.senders import ct, xray

PROJECT = "radstream-test"
SITE = "north"
XRAYS, CTS = 14, 6
ALERTING = range(0, XRAYS, 2)
"""Numbers of the X-rays that show a pneumothorax."""
RECEIVER = "receiver"
"""Name of the webhook's receiver on the composition's network."""
TOLD_S = 300
"""Seconds in which everything must have become of a study what becomes of it, after what was killed is back."""

pytestmark = pytest.mark.timeout(2400)


@pytest.fixture(scope="module")
def composition(tmp_path_factory) -> Iterator[Composition]:
    stow, portal = free_ports(2)
    folder = tmp_path_factory.mktemp("compose")
    folder.chmod(0o755)
    started = Composition(
        PROJECT,
        {
            "RADSTREAM_STOW_PORT": str(stow),
            "RADSTREAM_PORTAL_PORT": str(portal),
            "RADSTREAM_SETTINGS_FILE": str(settings_with_webhook(folder, f"http://{RECEIVER}:9000/")),
            "RADSTREAM_QUIET_WINDOW_S": "3",
            "COMPOSE_PROFILES": "cpu",
            "RADSTREAM_TRITON": "triton:8001",
        },
    )
    started.compose("down", "--volumes", "--remove-orphans", check=False)
    try:
        sys.stderr.write(f"\nall well after {started.up():.0f} s\n{started.memory()}")
        yield started
    finally:
        docker("rm", "--force", RECEIVER, check=False)
        started.compose("--profile", "tools", "down", "--volumes", "--remove-orphans", check=False)


@pytest.fixture(scope="module")
def receiver(composition) -> None:
    """Takes the alerts of the site, checks their signature and remembers them."""
    image = "radstream:0.1.0"
    secrets = f"{PROJECT}_keys:/var/lib/radstream/compose/secrets:ro"
    settings = (
        f"{composition.variables['RADSTREAM_SETTINGS_FILE']}:/var/lib/radstream/compose/settings.toml:ro"
    )
    docker(
        *("run", "--detach", "--name", RECEIVER, "--network", f"{PROJECT}_default", "--no-healthcheck"),
        *("--volume", secrets, "--volume", settings, image),
        *("cli.receiver", "9000", "/tmp/deliveries", "0.0.0.0"),
    )


def deliveries() -> list[dict[str, str]]:
    told = docker("exec", RECEIVER, "cat", "/tmp/deliveries", check=False)
    return [json.loads(line) for line in told.stdout.splitlines()] if told.returncode == 0 else []


def worklist(composition: Composition, token: str) -> list[dict[str, object]]:
    address = f"http://127.0.0.1:{composition.variables['RADSTREAM_PORTAL_PORT']}"
    answer = httpx.get(f"{address}/api/worklist", headers={"Authorization": f"Bearer {token}"}, timeout=30)
    return list(answer.raise_for_status().json()["rows"]) if answer.status_code == httpx.codes.OK else []


def store(composition: Composition, token: str, numbers: range) -> None:
    """Send studies with a stock client; it is told of success, or sends again."""
    session = Session()
    session.headers["Authorization"] = f"Bearer {token}"
    client = DICOMwebClient(
        f"http://127.0.0.1:{composition.variables['RADSTREAM_STOW_PORT']}", session=session
    )
    for number in numbers:
        study = (
            xray(number, SITE, alerting=number in ALERTING)
            if number < XRAYS
            else ct(number, SITE, slices=4, requests=1)
        )
        sets = [dcmread(io.BytesIO(image.data)) for request in study.requests for image in request]
        wait_for("the gateway takes a study", partial(_stored, client, sets), TOLD_S, 0.5)


def _stored(client: DICOMwebClient, sets: Sequence[Dataset]) -> bool:
    try:
        answer = client.store_instances(list(sets))
    except (OSError, ValueError):  # requests' own errors are OSErrors; a 503 is an HTTPError
        return False
    return len(answer.get("ReferencedSOPSequence", [])) == len(sets)


def test_twenty_studies_survive_a_killed_worker_and_a_killed_kafka(composition, receiver):
    token = composition.token("gateway", SITE)
    reader = composition.token("radiologist", SITE)
    store(composition, token, range(8))
    composition.compose("kill", "infer", "deidentify")
    composition.compose("start", "infer", "deidentify")
    store(composition, token, range(8, 12))
    composition.compose("kill", "kafka")
    composition.compose("start", "kafka")
    store(composition, token, range(12, XRAYS + CTS))

    wait_for(
        "every alert is delivered", lambda: len({d["key"] for d in deliveries()}) == len(ALERTING), TOLD_S
    )
    wait_for(
        "every study stands in the worklist",
        lambda: len(worklist(composition, reader)) == XRAYS + CTS,
        TOLD_S,
    )
    wait_for(
        "nothing is pending",
        lambda: not json.loads(_reconciled(composition))["problems"],
        TOLD_S,
    )
    report = json.loads(_reconciled(composition))
    assert (report["studies"], report["problems"]) == (XRAYS + CTS, [])
    assert set(Counter(d["study"] for d in deliveries()).values()) == {1}


def _reconciled(composition: Composition) -> str:
    """What `radstream reconcile` says as JSON."""
    told = composition.cli("reconcile", "--verify", "--grace", "0", "--json", check=False).stdout
    return told[told.index("{") :]


def test_no_container_ran_out_of_memory_or_was_restarted(composition):
    sys.stderr.write(f"\nafter {XRAYS + CTS} studies\n{composition.memory()}")
    every = [row["ID"] for row in composition.containers()]
    form = '{{.RestartCount}} {{.State.OOMKilled}} {{index .Config.Labels "com.docker.compose.service"}}'
    told = [line.split() for line in docker("inspect", "--format", form, *every).stdout.splitlines()]
    assert [line for line in told if line[:2] != ["0", "false"]] == []


def test_workers_are_scaled_by_compose(composition):
    composition.compose("up", "--detach", "--no-build", "--no-recreate", "--scale", "infer=3", "infer")
    running = [row for row in composition.containers() if row["Service"] == "infer"]
    assert len(running) == 3
    wait_for(
        "three workers are well",
        lambda: [r["Health"] for r in composition.containers() if r["Service"] == "infer"] == ["healthy"] * 3,
        TOLD_S,
    )


def test_nothing_runs_as_root_or_may_write_to_its_file_system(composition):
    ours = [row["ID"] for row in composition.containers() if row["Image"].startswith("radstream:")]
    told = docker(
        "inspect",
        "--format",
        "{{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}}",
        *ours,
    )
    assert set(told.stdout.splitlines()) == {"10001:10001 true [ALL]"}


def test_only_gateway_and_portal_are_published(composition):
    published = {row["Service"] for row in composition.containers() if "->" in row.get("Ports", "")}
    assert published == {"stow", "portal"}


def test_down_leaves_nothing_behind(composition):
    docker("rm", "--force", RECEIVER, check=False)
    composition.compose("--profile", "tools", "down", "--volumes")
    assert leftovers(PROJECT) == []
