"""docker-compose.yml as it stands, started for real: workers and engines are killed, nothing is lost or doubled."""

from __future__ import annotations

import io
import json
import sys
import time
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
    settings_of_the_test,
    wait_for,
)
from tests.support.senders import Sent, ct, ultrasound, xray

PROJECT = "radstream-test"
SITE = "north"
XRAYS, CTS, ULTRASOUNDS = 14, 4, 2
STUDIES = XRAYS + CTS + ULTRASOUNDS
"""All of them; the pixels of ultrasounds are cleaned."""
ALERTING = range(0, XRAYS, 2)
"""Numbers of the X-rays that show a pneumothorax."""
RECEIVER = "receiver"
"""Name of the webhook's receiver on the composition's network."""
LATER = 2
"""Studies that come when a worker has just reached its limit."""
HUNGRY = "tables"
"""The worker that does: a sink, so that the worklist lacks what it lost."""
EAT_ALL = """
from os import getpid
from pathlib import Path
for process in Path("/proc").glob("[0-9]*"):
    if process.name != str(getpid()):
        (process / "oom_score_adj").write_text("1000")  # the kernel ends the worker, not this
held = b"x" * (4 << 30)
"""
"""Python that takes all memory of its container."""
KILLED_WORKERS, KILLED_ENGINE = ("infer", "deidentify"), "kafka"
"""What dies in the middle."""
ANSWER_S, PAUSE_S = 30, 2
"""Seconds for the portal to answer, and between two looks."""
TOLD_S = 600
"""Seconds in which everything must have become of a study what becomes of it, after what was killed is back."""

pytestmark = pytest.mark.timeout(3600)


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
            "RADSTREAM_SETTINGS_FILE": str(settings_of_the_test(folder, f"http://{RECEIVER}:9000/")),
            "RADSTREAM_QUIET_WINDOW_S": "3",
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


def pages() -> set[tuple[str, str]]:
    """Study and Idempotency-Key of each page that was delivered."""
    told = docker("exec", RECEIVER, "cat", "/tmp/deliveries", check=False)
    rows = [json.loads(line) for line in told.stdout.splitlines()] if told.returncode == 0 else []
    return {(row["study"], row["key"]) for row in rows}


def worklist(composition: Composition, token: str) -> list[dict[str, object]]:
    """Rows of the worklist, none while the portal does not answer."""
    address = f"http://127.0.0.1:{composition.variables['RADSTREAM_PORTAL_PORT']}"
    try:
        answer = httpx.get(
            f"{address}/api/worklist", headers={"Authorization": f"Bearer {token}"}, timeout=ANSWER_S
        )
    except httpx.TransportError:
        return []
    return list(answer.json()["rows"]) if answer.status_code == httpx.codes.OK else []


def store(composition: Composition, token: str, numbers: range) -> None:
    """Send studies with a stock client; it is told of success, or sends again."""
    session = Session()
    session.headers["Authorization"] = f"Bearer {token}"
    client = DICOMwebClient(
        f"http://127.0.0.1:{composition.variables['RADSTREAM_STOW_PORT']}", session=session
    )
    for number in numbers:
        study = study_of(number)
        sets = [dcmread(io.BytesIO(image.data)) for request in study.requests for image in request]
        wait_for("the gateway takes a study", partial(_stored, client, sets), TOLD_S, 0.5)


def study_of(number: int) -> Sent:
    """X-rays, then CT series, then ultrasounds."""
    if number < XRAYS:
        return xray(number, SITE, alerting=number in ALERTING)
    return ct(number, SITE, slices=4, requests=1) if number < XRAYS + CTS else ultrasound(number, SITE)


def kill_and_start(composition: Composition, *services: str) -> None:
    """Kill containers, and start them once the engine has seen that they ended: it starts one again by itself otherwise."""

    def states() -> set[str]:
        return {row["State"] for row in composition.containers() if row["Service"] in services}

    composition.compose("kill", *services)
    wait_for("the engine has seen their end", lambda: states() == {"exited"}, TOLD_S, 0.2)
    composition.compose("start", *services)


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
    kill_and_start(composition, *KILLED_WORKERS)
    store(composition, token, range(8, 12))
    kill_and_start(composition, KILLED_ENGINE)
    store(composition, token, range(12, STUDIES))

    wait_for("every alert is delivered", lambda: len(pages()) == len(ALERTING), TOLD_S)
    wait_for(
        "every study stands in the worklist",
        lambda: len(worklist(composition, reader)) == STUDIES,
        TOLD_S,
    )
    assert when_whole(composition, STUDIES) == (STUDIES, [])
    # One Idempotency-Key each: with Kafka dies what it was told of a delivery, which is then repeated.
    assert set(Counter(study for study, _ in pages()).values()) == {1}


def when_whole(composition: Composition, studies: int) -> tuple[int, list[object]]:
    """Studies and problems that `radstream reconcile` counts, once they are as wanted, else after `TOLD_S`."""
    deadline = time.monotonic() + TOLD_S
    while (told := _reconciled(composition)) != (studies, []) and time.monotonic() < deadline:
        time.sleep(PAUSE_S)
    return told


def _reconciled(composition: Composition) -> tuple[int, list[object]]:
    told = composition.cli("reconcile", "--verify", "--grace", "0", "--json", check=False)
    found = told.stdout.find("{")
    if found < 0:
        return 0, [f"no answer: {told.stderr[-200:]}"]
    report = json.loads(told.stdout[found:])
    return report["studies"], report["problems"]


def test_no_container_ran_out_of_memory_and_none_was_restarted_but_those_that_were_killed(composition):
    sys.stderr.write(f"\nafter {STUDIES} studies\n{composition.memory()}")
    every = [row["ID"] for row in composition.containers()]
    form = '{{.State.OOMKilled}} {{.RestartCount}} {{index .Config.Labels "com.docker.compose.service"}}'
    told = [line.split() for line in docker("inspect", "--format", form, *every).stdout.splitlines()]
    assert [name for killed, _, name in told if killed != "false"] == []
    assert {name for _, restarts, name in told if restarts != "0"} <= {*KILLED_WORKERS, KILLED_ENGINE}


def test_workers_are_scaled_by_compose(composition):
    composition.compose("up", "--detach", "--no-build", "--no-recreate", "--scale", "infer=3", "infer")
    running = [row for row in composition.containers() if row["Service"] == "infer"]
    assert len(running) == 3
    wait_for(
        "three workers are well",
        lambda: _health(composition, "infer") == ["healthy"] * 3,
        TOLD_S,
    )


def test_a_worker_that_comes_to_its_limit_is_started_again_and_loses_nothing(composition):
    token = composition.token("gateway", SITE)
    reader = composition.token("radiologist", SITE)
    store(composition, token, range(STUDIES, STUDIES + LATER))
    composition.compose("exec", "-T", HUNGRY, "python", "-c", EAT_ALL, check=False)
    wait_for("it was started again", lambda: _restarts(composition, HUNGRY) == 1, TOLD_S)
    wait_for("it is well", lambda: _health(composition, HUNGRY) == ["healthy"], TOLD_S)
    wait_for(
        "every study stands in the worklist",
        lambda: len(worklist(composition, reader)) == STUDIES + LATER,
        TOLD_S,
    )
    assert when_whole(composition, STUDIES + LATER) == (STUDIES + LATER, [])


def _restarts(composition: Composition, service: str) -> int:
    """How often the engine started the one container of a service again."""
    (row,) = [row for row in composition.containers() if row["Service"] == service]
    return int(docker("inspect", "--format", "{{.RestartCount}}", row["ID"]).stdout)


def _health(composition: Composition, service: str) -> list[str]:
    return [row["Health"] for row in composition.containers() if row["Service"] == service]


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
