from __future__ import annotations

import json
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.faust_rig import Rig, rig
from tests.support.servers import SharedServers


@pytest.fixture
def kafka(tmp_path: Path, servers: SharedServers) -> Iterator[Rig]:
    with rig(tmp_path, servers.require("kafka")) as found:
        yield found


def measured(kafka: Rig) -> dict[str, float]:
    """The worker's own numbers, summed over sites."""
    run = json.loads((kafka.settings.data / "run" / f"{kafka.name}-0.json").read_text())
    assert urllib.request.urlopen(f"{run['health']}/readyz").status == 200
    numbers: dict[str, float] = defaultdict(float)
    for line in urllib.request.urlopen(f"{run['health']}/metrics").read().decode().splitlines():
        if not line.startswith("#") and "_bucket" not in line:
            name, _, value = line.rpartition(" ")
            numbers[name.partition("{")[0]] += float(value)
    return numbers


def test_what_goes_in_comes_out_once_and_is_committed(kafka: Rig) -> None:
    ids = [f"event-{n:04}" for n in range(300)]
    kafka.send(*ids)
    worker = kafka.start()
    kafka.until(lambda: kafka.committed() == len(ids))
    assert sorted(kafka.subjects()) == ids
    kafka.until(lambda: measured(kafka)["radstream_lag_events"] == 0)
    kafka.until(lambda: measured(kafka)["radstream_in_flight_bytes"] == 0)
    numbers = measured(kafka)
    assert numbers["radstream_inputs_total"] == len(ids)
    assert numbers["radstream_batch_events_sum"] == len(ids)
    assert numbers["radstream_rebalances_total"] >= 1
    for stage in ("step", "publish", "commit"):
        assert numbers[f"radstream_{stage}_seconds_count"] > 0
    worker.terminate()
    assert worker.wait() == 0
