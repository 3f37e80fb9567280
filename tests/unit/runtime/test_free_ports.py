"""Ports that are free, and that no client is given by chance."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from runtime import free_ports as module
from runtime.free_ports import FIRST, HOST, free_ports


def test_ports_differ_from_each_other_and_from_those_given_before() -> None:
    assert len({*free_ports(20), *free_ports(20)}) == 40


def test_no_outgoing_connection_is_given_one_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outgoing = tmp_path / "range"
    outgoing.write_text("10040\t60999\n")
    monkeypatch.setattr(module, "OUTGOING", outgoing)
    assert all(FIRST <= port < 10_040 for port in free_ports(10))


def test_a_port_that_somebody_listens_on_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = free_ports(1)[0]
    outgoing = tmp_path / "range"
    outgoing.write_text(f"{first + 1}\t60999\n")
    monkeypatch.setattr(module, "OUTGOING", outgoing)
    monkeypatch.setattr(module, "FIRST", first)
    assert free_ports(1) == [first]
    with socket.create_server((HOST, first)), pytest.raises(OSError, match="no 1 free ports"):
        free_ports(1)


def test_a_system_that_does_not_say_what_it_gives_away_has_ports_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OUTGOING", tmp_path / "absent")
    assert len(free_ports(3)) == 3
