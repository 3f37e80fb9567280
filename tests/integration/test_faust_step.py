from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.faust_rig import Rig, rig
from tests.support.servers import SharedServers


@pytest.fixture
def kafka(tmp_path: Path, servers: SharedServers) -> Iterator[Rig]:
    with rig(tmp_path, servers.require("kafka")) as found:
        yield found


def test_what_goes_in_comes_out_once_and_is_committed(kafka: Rig) -> None:
    ids = [f"event-{n:04}" for n in range(300)]
    kafka.send(*ids)
    worker = kafka.start()
    kafka.until(lambda: kafka.committed() == len(ids))
    assert sorted(kafka.subjects()) == ids
    worker.terminate()
    assert worker.wait() == 0
