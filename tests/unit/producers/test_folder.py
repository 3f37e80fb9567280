from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.progress import Progress

from producers import folder
from producers.__main__ import main
from producers.folder import Batch, Journal, batches, judge
from producers.ingest import Outcome
from runtime import logs
from runtime.buckets import QUARANTINE, RAW
from runtime.connections import Connections, connect
from runtime.errors import RetryError
from runtime.settings import load_settings
from tests.support.gateways import connections_in, dicom, prepared, received, write_settings

STUDY = "1.2.840.4711"


@pytest.fixture
def connections(tmp_path) -> Iterator[Connections]:
    opened = connections_in(tmp_path / "run", "folder")
    yield opened
    opened.close()


@pytest.fixture
def files(tmp_path) -> Path:
    """Five files: a series of three, the first of them again under another name, and one that is no DICOM."""
    path: Path = tmp_path / "Planted^Name"
    (path / "series").mkdir(parents=True)
    for number in range(3):
        (path / "series" / f"{number}.dcm").write_bytes(dicom(STUDY, instance=f"1.2.3.{number}"))
    (path / "zz-copy.dcm").write_bytes((path / "series" / "0.dcm").read_bytes())
    (path / "notes.txt").write_bytes(b"Planted^Name")
    return path


def run(
    connections: Connections, path: Path, *, dry_run: bool = False, threads: int = 1
) -> dict[str, object]:
    with Progress(disable=True) as progress:
        batch = Batch(connections, "north", dry_run=dry_run)
        return batch.run(path, threads=threads, progress=progress).as_dict()


def test_a_folder_is_taken_in_and_every_file_accounted_for(connections, files):
    assert run(connections, files) == {
        "files": 5, "stored": 3, "duplicates": 1, "skipped": 0, "quarantined": {"not-dicom": 1}, "failed": 0,
    }  # fmt: skip
    assert {event.gateway for event in received(connections)} == {"folder"}
    assert len({each.instance for event in received(connections) for each in event.instances}) == 3


@pytest.mark.parametrize("threads", [1, 4])
def test_a_second_run_skips_what_is_finished(connections, files, threads):
    run(connections, files, threads=threads)
    before = len(received(connections))
    again = run(connections, files, threads=threads)
    assert (again["skipped"], again["stored"], again["duplicates"]) == (5, 0, 0)
    assert len(received(connections)) == before


def test_a_changed_file_is_taken_in_again(connections, files):
    run(connections, files)
    (files / "series" / "0.dcm").write_bytes(dicom(STUDY, instance="1.2.3.0", side=12))
    again = run(connections, files)
    assert (again["skipped"], again["stored"]) == (4, 1)


def test_a_run_that_lost_its_journal_finds_duplicates(connections, files):
    run(connections, files)
    for journal in (connections.settings.data / "folder").iterdir():
        journal.unlink()
    again = run(connections, files)
    assert (again["stored"], again["duplicates"]) == (0, 4)


def test_files_that_failed_are_tried_again_by_the_next_run(connections, files, monkeypatch):
    def unavailable(*_args, **_kwargs):
        raise RetryError("not answering")

    with monkeypatch.context() as patched:
        patched.setattr(connections.publisher, "publish", unavailable, raising=False)
        first = run(connections, files)
    assert (first["failed"], first["stored"]) == (5, 0)  # also the move to quarantine, which is audited
    again = run(connections, files)
    assert (again["failed"], again["skipped"]) == (0, 0)
    assert len({each.instance for event in received(connections) for each in event.instances}) == 3


def test_a_dry_run_judges_and_stores_nothing(connections, files):
    summary = run(connections, files, dry_run=True)
    assert (summary["stored"], summary["quarantined"]) == (4, {"not-dicom": 1})
    assert list(connections.objects.keys(RAW)) == list(connections.objects.keys(QUARANTINE)) == []
    assert received(connections) == []
    assert run(connections, files)["skipped"] == 0


def test_the_journal_holds_no_path_and_no_name(connections, files):
    run(connections, files)
    [journal] = (connections.settings.data / "folder").iterdir()
    text = journal.name + journal.read_text("utf-8")
    assert "Planted" not in text
    assert "dcm" not in text


def test_a_torn_last_line_of_the_journal_is_no_finished_file(connections, files, tmp_path):
    names = connections.pseudonyms("north")
    journal = Journal(tmp_path / "journal.txt", names)
    journal.add([files / "notes.txt"])
    text = (tmp_path / "journal.txt").read_text("ascii")
    (tmp_path / "journal.txt").write_text(text[: len(text) // 2], "ascii")
    assert files / "notes.txt" not in Journal(tmp_path / "journal.txt", names)


def test_batches_hold_one_folder_each_and_never_more_than_a_chunk(files, monkeypatch):
    monkeypatch.setattr(folder, "MAX_CHUNK", 2)
    assert [[file.name for file in batch] for batch in batches(files)] == [
        ["notes.txt", "zz-copy.dcm"], ["0.dcm", "1.dcm"], ["2.dcm"],
    ]  # fmt: skip


def test_one_file_is_a_batch(files):
    assert list(batches(files / "notes.txt")) == [[files / "notes.txt"]]


def test_what_is_no_regular_file_is_left_alone(files):
    os.mkfifo(files / "pipe")
    (files / "dangling").symlink_to("nowhere")
    assert sum(len(batch) for batch in batches(files)) == 5


def test_a_file_that_cannot_be_read_fails_and_the_others_do_not(connections, files, monkeypatch):
    original = Path.open

    def guarded(self: Path, *args, **kwargs):
        if self.name == "1.dcm":
            raise PermissionError
        return original(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", guarded)
    summary = run(connections, files)
    assert (summary["failed"], summary["stored"]) == (1, 2)
    assert judge(files / "series" / "1.dcm").reason == "unreadable-file"


def test_a_series_is_one_event(connections, tmp_path):
    for number in range(20):
        (tmp_path / f"{number:02}.dcm").write_bytes(dicom(STUDY, instance=f"1.2.3.{number}"))
    run(connections, tmp_path / "..", dry_run=True)
    for file in sorted(tmp_path.glob("*.dcm")):
        assert judge(file).status == "stored"
    folder.take_in(connections, "north", sorted(tmp_path.glob("*.dcm")))
    assert [len(event.instances) for event in received(connections)] == [20]


def test_the_command_writes_its_summary_and_says_by_its_status_whether_all_is_safe(
    tmp_path, files, monkeypatch, capsys
):
    monkeypatch.setattr(logs, "configure", lambda *_: None)  # it would take over the test run's own output
    monkeypatch.setenv("RADSTREAM_SETTINGS", str(write_settings(tmp_path / "run")))
    prepared(connect(load_settings(), "folder")).close()
    arguments = ["folder", str(files), "--site", "north", "--json"]
    assert main(arguments) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (summary["files"], summary["stored"]) == (5, 3)
    assert main(["folder", str(files), "--site", "nowhere"]) == 2
    assert main(["folder", str(tmp_path / "missing"), "--site", "north"]) == 2
    assert main(["folder", str(files), "--site", "north"]) == 0
    assert "skipped" in capsys.readouterr().out
    (files / "new.dcm").write_bytes(dicom())
    monkeypatch.setattr(folder, "take_in", lambda _connections, _site, new: [Outcome("failed")] * len(new))
    assert main(["folder", str(files), "--site", "north"]) == 1
