from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from runtime.health import Presence
from runtime.metrics import METRICS, Metrics, Name


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("stow")


@pytest.fixture
def presence(tmp_path: Path, metrics: Metrics) -> Iterator[Presence]:
    made = Presence(tmp_path, "stow", metrics)
    made.open()
    yield made
    made.close()


def ask(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_readiness_says_what_is_missing(presence: Presence) -> None:
    assert ask(f"{presence.url}/livez") == (200, "alive\n")
    assert ask(f"{presence.url}/readyz") == (503, "starting\n")
    presence.ready()
    assert ask(f"{presence.url}/readyz") == (200, "ready\n")
    presence.not_ready("no partitions")
    assert ask(f"{presence.url}/readyz") == (503, "no partitions\n")
    assert ask(f"{presence.url}/elsewhere")[0] == 404


def test_metrics_are_served_with_component_and_site(presence: Presence, metrics: Metrics) -> None:
    metrics.count("radstream_inputs_total", 3, site="north")
    metrics.set("radstream_lag_events", 7)
    metrics.observe("radstream_batch_events", 5)
    _, text = ask(f"{presence.url}/metrics")
    assert 'radstream_inputs_total{component="stow",site="north"} 3.0' in text
    assert 'radstream_lag_events{component="stow",site=""} 7.0' in text
    assert 'radstream_batch_events_bucket{component="stow",le="8.0",site=""} 1.0' in text


def test_the_file_tells_where_to_find_the_process_while_it_runs(tmp_path: Path, presence: Presence) -> None:
    file = tmp_path / "stow.json"
    assert json.loads(file.read_text())["address"] is None
    presence.announce("http://127.0.0.1:8042")
    told = json.loads(file.read_text())
    assert (told["component"], told["health"], told["address"]) == (
        "stow",
        presence.url,
        "http://127.0.0.1:8042",
    )
    presence.close()
    assert list(tmp_path.iterdir()) == []


def test_every_metric_has_a_meaning() -> None:
    assert set(METRICS) == set(get_args(Name))
    assert all(name.endswith("_total") == (meaning.kind == "counter") for name, meaning in METRICS.items())
