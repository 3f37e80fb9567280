from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

import pytest

from tests.support.repository import PACKAGES, ROOT, committed_files, product_trees, pyproject

OTHER_FOLDERS = {".ci", "benchmarks", "docs", "requirements", "tests"}

CLIENTS = {
    "boto3": {"runtime/objects.py"},
    "cassandra": {"runtime/tables.py"},
    "confluent_kafka": {"runtime/kafka.py", "runtime/kafka_consumer.py", "runtime/kafka_errors.py"},
    "faust": {"stream_processors/app.py"},
    "obstore": {"runtime/objects.py"},
    "prometheus_client": {"runtime/metrics.py"},
    "structlog": {"runtime/logs.py"},
    "tritonclient": {"inference/client.py", "inference/shared_memory.py"},
}
"""The files that may name a client of an engine, the logs or the metrics. Kafka's has three subjects."""

VIOLATIONS = [
    pytest.param("inference/pixels.py", "import sqlite3", "Pure cores", id="a pure core opens a database"),
    pytest.param("schemas/codec.py", "import runtime.ports", "Layers", id="a contract imports a port"),
    pytest.param("portal_api/app.py", "import sinks.runner", "Layers", id="the portal imports a sink"),
    pytest.param(
        "stream_processors/steps/score_risk.py",
        "import stream_processors.steps.infer",
        "Steps",
        id="a step imports a step",
    ),
    pytest.param(
        "producers/stow.py", "import producers.folder", "Gateways", id="a gateway imports a gateway"
    ),
]


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [
        str(Path(sys.executable).with_name("lint-imports")),
        "--config",
        str(ROOT / ".importlinter"),
        "--no-cache",
    ]
    return subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)


def imported_names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module
            case _:
                continue


def test_every_import_contract_is_kept():
    result = lint_imports(ROOT)

    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(("file", "line", "contract"), VIOLATIONS)
def test_an_import_against_the_contracts_is_found(tmp_path, file, line, contract):
    for path in product_trees():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    with (tmp_path / file).open("a") as source:
        source.write(f"\n{line}\n")

    result = lint_imports(tmp_path)

    broken = [row for row in result.stdout.splitlines() if " BROKEN" in row]
    assert [row for row in broken if row.startswith(contract)], result.stdout


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_is_named_in_its_file_only(client):
    named_in = {
        path.as_posix()
        for path, tree in product_trees().items()
        if any(name.split(".")[0] == client for name in imported_names(tree))
    }

    assert named_in <= CLIENTS[client]


def test_sqlite_is_named_in_the_embedded_profile_only():
    named_in = {
        path.parent.as_posix()
        for path, tree in product_trees().items()
        if any(name.split(".")[0] == "sqlite3" for name in imported_names(tree))
    }

    assert named_in == {"runtime/embedded"}


def test_root_folders_are_the_packages_and_the_listed_others():
    folders = {path.parts[0] for path in committed_files() if len(path.parts) > 1}

    assert set(PACKAGES) <= folders
    assert folders - set(PACKAGES) <= OTHER_FOLDERS


def test_every_list_of_packages_is_the_same():
    contracts = ConfigParser()
    contracts.read(ROOT / ".importlinter")
    tools = pyproject()["tool"]

    assert tuple(contracts["importlinter"]["root_packages"].split()) == PACKAGES
    assert tuple(contracts["importlinter:contract:acyclic"]["ancestors"].split()) == PACKAGES
    assert (
        tuple(pattern.rstrip("*") for pattern in tools["setuptools"]["packages"]["find"]["include"])
        == PACKAGES
    )
    assert tuple(name for name in tools["mypy"]["files"] if name != "tests") == PACKAGES
    assert (
        tuple(name for name in tools["ruff"]["lint"]["isort"]["known-first-party"] if name != "tests")
        == PACKAGES
    )
