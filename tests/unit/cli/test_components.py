"""A run's processes are what the folders hold."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import sinks
import sinks.notifiers
import stream_processors.steps
from cli.components import Plan, channels, components, consumers, destinations, reads, steps
from runtime.settings import TritonSettings
from schemas.topics import catalogue
from tests.support.installation import settings
from tests.support.repository import ROOT


def files(folder: str, *, but: frozenset[str] = frozenset()) -> list[str]:
    """Names of a folder's modules."""
    return sorted(path.stem for path in (ROOT / folder).glob("*.py") if path.stem not in {"__init__", *but})


def test_every_file_of_the_folders_is_a_process() -> None:
    assert steps() == files("stream_processors/steps")
    assert channels() == files("sinks/notifiers")
    assert destinations() == files("sinks", but=frozenset({"__main__", "sink", "runner"}))
    assert consumers() == [*steps(), *destinations(), *channels()]


@pytest.mark.parametrize(
    ("package", "listed"),
    [(stream_processors.steps, steps), (sinks, destinations), (sinks.notifiers, channels)],
)
def test_a_new_file_is_a_new_process(
    package: object, listed: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "noop.py").write_text("")
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])  # type: ignore[attr-defined]
    assert "noop" in listed()  # type: ignore[operator]


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
