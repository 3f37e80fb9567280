"""What a person sees where the composition cannot start: one clear line."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.containers.composition import Composition, docker, leftovers

IMAGE = "radstream:0.1.0"


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
