"""What a person sees where the composition cannot start: one clear line."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.containers.composition import Composition, docker, leftovers

IMAGE = "radstream:0.1.0"
COMPOSE_SAYS = (" Network", " Volume", " Container")
"""What lines begin with in which docker compose tells what it does."""

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def composition(request) -> Iterator[Composition]:
    """A composition of its own, of which only some services are started."""
    started = Composition("radstream-refused", getattr(request, "param", {}))
    yield started
    started.compose("down", "--volumes", check=False)
    assert leftovers(started.project) == []


def test_a_port_that_is_taken_is_one_line(composition):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        variables = {"RADSTREAM_STOW_PORT": str(taken.getsockname()[1])}
        other = Composition(composition.project, variables)
        done = other.compose("up", "--detach", "--no-build", "--no-deps", "stow", check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode != 0
    assert variables["RADSTREAM_STOW_PORT"] in last
    assert "address already in use" in last or "port is already allocated" in last


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("RADSTREAM_STOW_PORT", "web", "invalid hostPort: web"),
        ("KAFKA_MEMORY", "much", "services[kafka].mem_limit': invalid size: 'much'"),
        ("RADSTREAM_VERSION", "0.0.0", "no such image: radstream:0.0.0"),
    ],
)
def test_a_variable_that_compose_cannot_read_is_one_line(composition, variable, value, said):
    other = Composition(composition.project, {variable: value})
    done = other.compose("up", "--detach", "--no-build", "init", check=False)
    assert done.returncode != 0
    assert said in done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("RADSTREAM_LOG_LEVEL", "LOUD", "settings refused: log_level: Input should be 'DEBUG'"),
        (
            "RADSTREAM_QUIET_WINDOW_S",
            "soon",
            "settings refused: steps.quiet_window_s: Input should be a valid",
        ),
    ],
)
def test_a_variable_that_the_settings_refuse_is_one_line(composition, variable, value, said):
    other = Composition(composition.project, {variable: value})
    done = other.compose("run", "--rm", "--no-deps", "-T", "prepare", check=False)
    (line,) = [each for each in done.stderr.splitlines() if each and not each.startswith(COMPOSE_SAYS)]
    assert done.returncode == 1
    assert line.startswith(said)


def test_an_engine_with_too_little_memory_is_one_line(composition):
    other = Composition(composition.project, {"KAFKA_MEMORY": "16m"})
    done = other.compose("up", "--detach", "--no-build", "registry", check=False)
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"dependency failed to start: container {composition.project}-kafka-1")


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (
            {"COMPOSE_PROFILES": ""},
            "RADSTREAM_TRITON is triton:8001 and nothing starts it: set COMPOSE_PROFILES=cpu, or gpu",
        ),
        (
            {"RADSTREAM_TRITON": ""},
            "COMPOSE_PROFILES starts Triton and nothing asks it: set RADSTREAM_TRITON=triton:8001",
        ),
    ],
)
def test_a_missing_variable_is_one_line(composition, variables, said):
    other = Composition(composition.project, variables)
    done = other.compose("up", "--detach", "--no-build", "s3", check=False)
    assert done.returncode != 0
    assert other.compose("logs", "--no-log-prefix", "init").stdout.splitlines() == [f"radstream: {said}"]


def test_volumes_of_an_older_version_stop_the_start_with_one_line(composition):
    secrets = f"{composition.project}_keys:/var/lib/radstream/compose/secrets"
    write = "echo 0 > /var/lib/radstream/compose/secrets/volume-format"
    composition.compose("create", "--no-build", "init")
    docker("run", "--rm", "--volume", secrets, "--entrypoint", "sh", IMAGE, "-c", write)
    done = composition.compose("up", "--detach", "--no-build", "s3", check=False)
    said = composition.compose("logs", "--no-log-prefix", "init").stdout.splitlines()
    assert done.returncode != 0
    assert 'service "init" didn\'t complete successfully: exit 1' in done.stderr
    assert len(said) == 1
    assert "format 0, this version reads 1" in said[0]


@pytest.mark.parametrize(
    "composition", [{"RADSTREAM_SETTINGS_FILE": "/nowhere/settings.toml"}], indirect=True
)
def test_a_settings_file_that_is_not_there_is_one_line(composition):
    done = composition.compose("up", "--detach", "--no-build", "init", check=False)
    assert done.returncode != 0
    assert "/nowhere/settings.toml" in done.stderr.strip().splitlines()[-1]
