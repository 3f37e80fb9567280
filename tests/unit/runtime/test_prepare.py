from __future__ import annotations

from pathlib import Path

import pytest

from runtime import buckets
from runtime.connections import Connections, connect
from runtime.errors import OutageError, StopError
from runtime.prepare import main, prepare, require_topics, row_types
from runtime.settings import Settings
from schemas.events import EVENT_TYPES
from schemas.rows import VaultEntryRow
from schemas.topics import catalogue
from tests.support.installation import settings


def test_preparing_twice_makes_everything_once(tmp_path: Path) -> None:
    made = connect(settings(tmp_path), "prepare")
    for _ in range(2):
        prepare(made, ["deidentify"])
    expected = {topic.name: topic.partitions for topic in catalogue().values()} | {
        "deidentify.dead-letter.v1": 1
    }
    assert made.log.topics() == expected
    assert made.tables.get(VaultEntryRow, site="north", subject="x") is None
    for bucket in buckets.ALL:
        made.objects.put(bucket, "key", b"")
    assert all(made.registry.schema_id(name) for name in EVENT_TYPES)
    require_topics(made, list(expected))
    with pytest.raises(StopError, match="infer"):
        require_topics(made, ["infer.dead-letter.v1"])
    made.close()


def test_an_engine_that_does_not_answer_yet_is_waited_for(tmp_path: Path, monkeypatch) -> None:
    asked = []

    def later(told: Settings, component: str) -> Connections:
        asked.append(component)
        if len(asked) < 3:
            raise OutageError("the registry does not answer")
        return connect(told, component)

    monkeypatch.setattr("runtime.prepare.load_settings", lambda: settings(tmp_path))
    monkeypatch.setattr("runtime.prepare.connect", later)
    monkeypatch.setattr("time.sleep", lambda _: None)
    main(["deidentify"])
    assert len(asked) == 3
    made = connect(settings(tmp_path), "stow")
    assert "deidentify.dead-letter.v1" in made.log.topics()
    made.close()


def test_every_table_is_made() -> None:
    assert VaultEntryRow in row_types()
    names = [row.TABLE.name for row in row_types()]
    assert len(set(names)) == len(names) > 15


def test_a_weak_key_stops_the_process(tmp_path: Path) -> None:
    settings(tmp_path)
    (tmp_path / "pseudonym").write_bytes(b"secret" * 6)
    with pytest.raises(StopError, match="text"):
        connect(settings(tmp_path), "stow")
