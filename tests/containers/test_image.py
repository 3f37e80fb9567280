"""The image by itself: what is in it, what is not, and what it says when it is started wrongly."""

from __future__ import annotations

import json
import re
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.containers.composition import ROOT, docker
from tests.support.repository import PACKAGES, product_trees

IMAGE = "radstream:0.1.0"
HOME = "/var/lib/radstream"
FOLDERS = (f"{HOME}/compose/secrets", f"{HOME}/compose/s3-keys", f"{HOME}/models")
"""What `init` is told of, in its order."""
UNWANTED = re.compile(
    r"/(pip|pip3|uv|git|gcc|cc|g\+\+|ld|as|make|strip|go|curl|wget)$|/conftest\.py$|/tests?/[^/]+\.py$|/\.git(/|$)|/\.cache/"
    r"|^/var/lib/apt/lists/.|^/var/cache/.|^/var/log/.|^/roo[t]/.+/|\.(c|pyx|a)$|/(id_rsa|\.netrc|pip\.conf|\.env)$"
)
"""Installers, build tools, tests, caches, secrets."""
LARGEST_MB = 800
"""MB that the image may have; docs/compose.md says what they are."""

pytestmark = pytest.mark.timeout(600)


def words(done: CompletedProcess[str]) -> list[str]:
    """Lines that a person reads, without what the engine itself warns of."""
    return [line for line in done.stderr.splitlines() if line.strip() and not line.startswith("WARNING")]


@pytest.fixture(scope="module")
def files() -> dict[str, tuple[int, int]]:
    """Owner and mode of every file in the image."""
    look = ["--user", "0", "--network", "none", "--entrypoint", "find", IMAGE, "/", "-xdev"]
    told = docker("run", "--rm", *look, "-type", "f", "-printf", "%U %m %p\\n").stdout
    rows = [line.split(" ", 2) for line in told.splitlines()]
    return {path: (int(owner), int(mode, 8)) for owner, mode, path in rows}


def test_it_holds_no_installers_build_tools_tests_caches_or_secrets(files):
    assert [path for path in files if UNWANTED.search(path)] == []
    assert [path for path in files if path.startswith(HOME)] == []


def test_it_holds_no_key_and_names_none(files):
    look = ["grep", "-rlE", "BEGIN ([A-Z]+ )?PRIVATE KEY", "/opt", "/etc", "/usr/share", "/var"]
    found = docker(
        "run", "--rm", "--user", "0", "--entrypoint", look[0], IMAGE, *look[1:], check=False
    ).stdout
    code = re.compile(r"\.pyc?$|\.so(\.|$)")  # programs that read keys know how one begins
    assert [path for path in found.splitlines() if not code.search(path)] == []
    (inspected,) = json.loads(docker("image", "inspect", IMAGE).stdout)
    said = " ".join(inspected["Config"]["Env"]) + docker("history", "--no-trunc", IMAGE).stdout
    assert not re.search(r"(?i)(password|token|secret)[a-z_]*=", said)


def test_nothing_in_it_runs_as_another_or_may_be_changed_by_who_runs_it(files):
    assert [path for path, (_, mode) in files.items() if mode & 0o6000] == []
    assert [path for path, (owner, mode) in files.items() if owner != 0 or mode & 0o002] == []


def test_it_says_what_it_is_and_how_it_is():
    (inspected,) = json.loads(docker("image", "inspect", IMAGE).stdout)
    config = inspected["Config"]
    assert config["User"] == "10001:10001"
    assert config["Labels"]["org.opencontainers.image.version"] == "0.1.0"
    assert config["Healthcheck"]["Test"] == ["CMD", "python", "-m", "runtime.probe", "readyz"]
    assert inspected["Size"] < LARGEST_MB * 1e6


def test_everything_that_a_process_needs_is_still_there():
    mount = f"{Path(__file__).with_name('inside.py')}:/inside.py:ro"
    script = [
        "--network",
        "none",
        "--read-only",
        "--tmpfs",
        "/tmp",
        "--volume",
        mount,
        "--entrypoint",
        "python",
    ]
    done = docker("run", "--rm", *script, IMAGE, "/inside.py", *PACKAGES)
    modules = [path for path in product_trees() if path.name != "__main__.py" and len(path.parts) > 1]
    inner = len(modules) - len(PACKAGES)  # without the packages' own __init__.py
    assert done.stdout.startswith(f"{inner} modules of radstream")
    assert "all codecs, text, plots" in done.stdout


@pytest.mark.parametrize(
    "process", ["producers stow", "stream_processors infer", "sinks tables", "portal_api", "cli prepare"]
)
def test_without_a_settings_file_each_process_says_one_line(process):
    start = ["run", "--rm", "--network", "none", "--env", "RADSTREAM_SETTINGS=", IMAGE, *process.split()]
    done = docker(*start, check=False)
    assert done.returncode != 0
    assert len(words(done)) == 1
    assert "RADSTREAM_SETTINGS names no settings file" in words(done)[0]


def test_too_little_memory_is_one_line(tmp_path):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:        2048000 kB\n", "utf-8")
    init = ["--volume", f"{meminfo}:/proc/meminfo:ro", IMAGE, "deploy.compose.init", *FOLDERS, "cpu"]
    done = docker("run", "--rm", "--network", "none", *init, check=False)
    assert done.returncode == 1
    assert words(done) == ["radstream: too little memory: 2000 MiB, and 6144 MiB are needed"]


def test_a_variable_with_a_wrong_value_is_one_line():
    done = docker(
        "run", "--rm", "--network", "none", IMAGE, "deploy.compose.init", *FOLDERS, "tpu", check=False
    )
    assert done.returncode == 1
    assert words(done) == ["radstream: RADSTREAM_TRITON_TARGET is none of shim, cpu, gpu, tensorrt"]


def test_the_composition_names_the_image_that_is_tested():
    assert "radstream:${RADSTREAM_VERSION:-0.1.0}" in (ROOT / "docker-compose.yml").read_text("utf-8")
