"""Run folders: keys and ports of their own, and never another process's supervisor."""

from __future__ import annotations

import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cli import runs
from cli.runs import Run
from runtime.connections import connect
from runtime.credentials import Credential, Credentials
from runtime.errors import DeadLetterError
from runtime.prepare import prepare
from runtime.settings import load_settings
from schemas.codec import decode
from schemas.events import AuditEvent


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RADSTREAM_HOME", str(tmp_path))
    return tmp_path


def test_commands_that_start_in_the_same_moment_get_folders_of_their_own(home: Path) -> None:
    now = datetime(2026, 11, 21, 10, 15, 2, tzinfo=UTC)
    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(lambda _: runs.claimed("demo", now), range(8)))
    assert sorted(names) == ["demo-20261121-101502", *(f"demo-20261121-101502-{n}" for n in range(2, 9))]
    assert all((home / name).is_dir() for name in names)


def test_a_new_run_has_keys_that_only_its_owner_reads_and_ports_that_differ() -> None:
    run, settings = runs.create("one", {"north": "http://127.0.0.1:1/alerts"}, triton=True)
    keys = {path.name: path for path in run.secrets.iterdir()}
    assert set(keys) == {"pseudonym", "vault", "session", "webhook-north", "credentials.json"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys.values()} == {0o600}
    assert stat.S_IMODE(run.secrets.stat().st_mode) == 0o700
    secrets = {name: path.read_bytes() for name, path in keys.items() if name != "credentials.json"}
    assert len(set(secrets.values())) == len(secrets)
    ports = [
        settings.stow.port,
        settings.portal.port,
        *(int(address.rpartition(":")[2]) for address in (settings.triton.address, settings.triton.metrics)),
    ]
    assert len(set(ports)) == 4


def test_a_run_taken_up_again_keeps_its_keys_and_its_tokens() -> None:
    run, _ = runs.create("one", {"north": ""}, triton=False)
    token = runs.token(run, "north", "radiologist", "reader")
    before = (run.secrets / "pseudonym").read_bytes()
    _, settings = runs.create("one", {"north": ""}, triton=False)
    assert (run.secrets / "pseudonym").read_bytes() == before
    known = Credentials(settings.keys.credentials).verify(f"Bearer {token}")
    assert known == Credential("north", "radiologist", "reader")
    assert token not in run.credentials.read_text("utf-8")


def test_that_a_token_was_made_is_on_record_before_it_is_handed_out(tmp_path: Path) -> None:
    run, settings = runs.create("one", {"north": ""}, triton=False)
    connections = connect(settings, "cli")
    with pytest.raises(DeadLetterError, match="unknown-topic"):
        runs.audited_token(run, connections, "north", "radiologist", "reader")
    assert run.credentials.read_text("utf-8") == "[]"

    prepare(connections, [])
    token = runs.audited_token(run, connections, "north", "radiologist", "reader")
    log = connections.log
    records = [each for part in log.end_offsets("audit.v1") for each in log.read("audit.v1", part, 0, 10)]
    (event,) = [decode(record.value, connections.registry) for record in records]
    assert isinstance(event, AuditEvent)
    assert (event.action, event.actor_role, event.purpose, event.outcome) == (
        "token.made",
        "terminal",
        "radiologist token",
        "allowed",
    )
    assert (event.envelope.site, event.envelope.producer, event.subjects) == ("north", "cli", ())
    assert event.actor
    assert token not in repr(event)
    connections.close()


def test_the_settings_written_are_the_settings_read(monkeypatch: pytest.MonkeyPatch) -> None:
    run, settings = runs.create("one", {"north": "", "south": ""}, triton=False, quiet_window_s=3.0)
    monkeypatch.setenv("RADSTREAM_SETTINGS", str(run.settings_file))
    assert load_settings() == settings


@pytest.mark.parametrize(
    "content",
    ["", "{}", "not json", json.dumps({"pid": os.getpid()}), json.dumps({"pid": 2**22 + 1})],
    ids=["empty", "no pid", "no json", "another process's pid", "nobody's pid"],
)
def test_a_stale_supervisor_file_names_nobody(home: Path, content: str) -> None:
    run = Run(home / "stale")
    run.path.mkdir()
    run.supervisor_file.write_text(content)
    assert run.supervisor_pid() is None
    assert runs.stop(run) is False


def test_runs_are_listed_by_age_and_only_with_settings(home: Path) -> None:
    for age, name in enumerate(("new", "old")):
        run, _ = runs.create(name, {"north": ""}, triton=False)
        os.utime(run.settings_file, (1e9 - age, 1e9 - age))
    (home / "no-run").mkdir()
    assert [run.name for run in runs.all_runs()] == ["old", "new"]
    assert runs.running() == []
    runs.remove(Run(home / "old"))
    assert [run.name for run in runs.all_runs()] == ["new"]
