"""The health check of a container asks the process and nothing else."""

from __future__ import annotations

import pytest

from runtime import probe
from runtime.health import Presence
from runtime.metrics import Metrics


@pytest.fixture
def presence(tmp_path):
    made = Presence(tmp_path, "infer", Metrics("infer"))
    made.open()
    yield made
    made.close()


def port_of(presence: Presence) -> int:
    return int(presence.url.rpartition(":")[2])


def test_a_process_that_starts_lives_and_is_not_ready(presence):
    assert probe.probe(port_of(presence), "livez")[0]
    assert probe.probe(port_of(presence), "readyz") == (False, "starting")


def test_a_process_at_work_is_ready_and_the_exit_code_says_so(presence, monkeypatch):
    presence.ready()
    monkeypatch.setenv(probe.PORT_VARIABLE, str(port_of(presence)))
    assert (probe.main(["readyz"]), probe.main([])) == (probe.OK, probe.OK)


def test_nobody_listening_is_not_well(presence, capsys, monkeypatch):
    port = port_of(presence)
    presence.close()
    monkeypatch.setenv(probe.PORT_VARIABLE, str(port))
    assert probe.main(["livez"]) == probe.NOT_WELL
    assert "no answer" in capsys.readouterr().out
