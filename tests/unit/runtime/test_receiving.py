from __future__ import annotations

from pathlib import Path

import pytest

from runtime.connections import Connections
from runtime.embedded.tables import EmbeddedTables
from runtime.errors import RetryError
from runtime.ports import Record
from runtime.receiving import next_offsets, probe, understood
from schemas.codec import UndecodableError, encode
from tests.support.installation import connections, received


@pytest.fixture
def made(tmp_path: Path) -> Connections:
    return connections(tmp_path, "test")


def encoded(made: Connections, site: str) -> bytes:
    return encode(received(1, "event", site=site), made.registry.schema_id("InstanceReceived"))


def test_an_event_of_a_configured_site_is_understood(made: Connections) -> None:
    assert understood(made, encoded(made, "north")) == received(1, "event")


@pytest.mark.parametrize(("site", "reason"), [("west", "unknown-site"), (None, "tombstone")])
def test_what_is_no_event_of_ours_has_a_reason(made: Connections, site: str | None, reason: str) -> None:
    with pytest.raises(UndecodableError) as refused:
        understood(made, encoded(made, site) if site else None)
    assert site is None or refused.value.reason == reason


def test_a_probe_finds_the_engine_that_is_down(made: Connections, monkeypatch: pytest.MonkeyPatch) -> None:
    probe(made)

    def down(*_: object, **__: object) -> None:
        raise RetryError

    monkeypatch.setattr(EmbeddedTables, "select", down)
    with pytest.raises(RetryError):
        probe(made)


def test_the_committed_offset_is_the_one_after_the_last_of_each_partition() -> None:
    places = [(0, 4), (0, 5), (2, 9)]
    batch = [Record("a", partition, offset, b"k", b"", (), 0) for partition, offset in places]
    assert next_offsets(batch) == {("a", 0): 6, ("a", 2): 10}
    assert next_offsets([]) == {}
