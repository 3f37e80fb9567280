"""A run's processes are what the folders hold."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

import sinks
import sinks.notifiers
import stream_processors.steps
from cli.components import SERVER, Component, Plan, components, consumers, reads, workers
from deploy.local.servers import NAMES
from runtime.settings import TritonSettings
from schemas.topics import catalogue
from tests.support.installation import settings
from tests.support.repository import ROOT


def files(folder: str, *, but: frozenset[str] = frozenset()) -> list[str]:
    """Names of a folder's modules."""
    return sorted(path.stem for path in (ROOT / folder).glob("*.py") if path.stem not in {"__init__", *but})


def test_every_file_of_the_folders_is_a_process_that_reads_topics() -> None:
    shared = frozenset({"__main__", "catalogue", "sink", "runner"})
    folders = (files("stream_processors/steps"), files("sinks", but=shared), files("sinks/notifiers"))
    assert consumers() == [name for folder in folders for name in folder]


@pytest.mark.parametrize("package", [stream_processors.steps, sinks, sinks.notifiers])
def test_a_new_file_is_a_new_process(
    package: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "noop.py").write_text("")
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    assert "noop" in consumers()
    assert "noop" in {each.name for each in components(settings(tmp_path), Plan())}


def test_a_run_has_a_gateway_every_consumer_and_the_portal_each_once(tmp_path: Path) -> None:
    found = components(settings(tmp_path), Plan())
    assert [each.name for each in found] == ["stow", *consumers(), "portal"]
    assert all(each.reports for each in found)
    assert found[0].argv == [sys.executable, "-m", "producers", "stow"]


def test_engines_beside_our_own_come_first_and_tell_no_address(tmp_path: Path) -> None:
    triton = TritonSettings(address="127.0.0.1:8001", metrics="127.0.0.1:8002")
    told = settings(tmp_path).model_copy(update={"triton": triton})
    receiver, server, *_ = components(told, Plan("/env", 8000, 9000))
    assert (receiver.name, server.name) == ("receiver", "triton")
    assert not receiver.reports
    assert not server.reports
    assert {"--grpc-port=8001", "--http-port=8000", "--metrics-port=8002", "--environment=/env"} < set(
        server.command
    )


@pytest.mark.parametrize("name", consumers())
def test_what_a_consumer_reads_are_topics(name: str) -> None:
    assert reads(name)
    assert set(reads(name)) <= set(catalogue())


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, [("infer", "")]),
        (3, [("infer", ""), ("infer-2", "2"), ("infer-3", "3")]),
    ],
)
def test_the_first_worker_keeps_the_bare_name(count, expected):
    found = workers(Component("infer", ("-m", "stream_processors", "infer")), count)

    assert [(each.name, each.instance) for each in found] == expected
    assert {each.component for each in found} == {"infer"}
    assert len({each.command for each in found}) == 1


def test_a_plan_has_its_servers_first_and_no_two_processes_of_one_name(tmp_path):
    found = components(settings(tmp_path), Plan(servers=True, workers={"infer": 2, "tables": 3}))

    names = [each.name for each in found]
    assert names[: len(NAMES)] == [f"{SERVER}{name}" for name in NAMES]
    assert [each.is_server for each in found].count(True) == len(NAMES)
    assert len(names) == len(set(names))
    assert {"infer-2", "tables-2", "tables-3"} <= set(names)
