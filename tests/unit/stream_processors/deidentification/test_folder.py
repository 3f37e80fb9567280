from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from pydicom.encaps import encapsulate
from pydicom.uid import RLELossless

from stream_processors.deidentification import folder
from stream_processors.deidentification.__main__ import KEY_VARIABLE, main
from stream_processors.deidentification.sealed_file import seal, unseal
from tests.support.dicoms import ct_slice, to_bytes, ultrasound

KEY = bytes(range(7, 250, 7)) + b"\xff"


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(KEY_VARIABLE, KEY.hex())
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "a.dcm").write_bytes(to_bytes(ct_slice()))
    (tmp_path / "in" / "sub" / "b.dcm").write_bytes(to_bytes(ct_slice("b")))
    (tmp_path / "in" / "sub" / "us.dcm").write_bytes(to_bytes(ultrasound()))
    (tmp_path / "in" / "notes.txt").write_text("about ZQFAMILY")
    return tmp_path


def run(given: Path, *more: str) -> int:
    return main([str(given / "in"), str(given / "out"), "--report", str(given / "report.json"), *more])


def report(given: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((given / "report.json").read_text())["files"]
    return found


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_clean_files_keep_their_paths_and_all_others_are_sealed_with_a_reason(given: Path) -> None:
    assert run(given) == 0
    assert files(given / "out") == ["a.dcm", "sub/b.dcm"]
    assert files(given / "out-quarantine") == ["notes.txt.sealed", "sub/us.dcm.sealed"]
    reasons = {each["path"]: each["reason"] for each in report(given)}
    assert reasons == {
        "a.dcm": "",
        "sub/b.dcm": "",
        "notes.txt": "not-dicom",
        "sub/us.dcm": "pixels-at-risk: ultrasound",
    }
    assert {"attribute": "(0010,0010) PatientName", "action": "empty"} in report(given)[0]["actions"]


def test_nothing_that_is_written_holds_the_patient(given: Path) -> None:
    run(given, "--quarantine", str(given / "aside"))
    written = [*(given / "out").rglob("*"), *(given / "aside").rglob("*"), given / "report.json"]
    assert [path.name for path in written if path.is_file() and b"ZQ" in path.read_bytes()] == []


def test_the_holder_of_the_key_opens_what_is_set_aside(given: Path) -> None:
    run(given)
    sealed = (given / "out-quarantine" / "notes.txt.sealed").read_bytes()
    assert unseal(sealed, KEY, "notes.txt") == b"about ZQFAMILY"
    for other, name in ((KEY, "other.txt"), (KEY[::-1], "notes.txt")):
        with pytest.raises(InvalidTag):
            unseal(sealed, other, name)
    with pytest.raises(ValueError, match="sealed"):
        unseal(b"plain", KEY, "notes.txt")
    assert seal(b"x", KEY, "n") != seal(b"x", KEY, "n")


def test_a_second_run_over_the_output_changes_nothing(given: Path) -> None:
    run(given)
    assert main([str(given / "out"), str(given / "again")]) == 0
    for name in ("a.dcm", "sub/b.dcm"):
        assert (given / "again" / name).read_bytes() == (given / "out" / name).read_bytes()


def test_options_replace_those_of_the_default(given: Path) -> None:
    run(given, "--options", "113107,113111")
    assert json.loads((given / "report.json").read_text())["options"] == ["113100", "113107", "113111"]


@pytest.mark.parametrize(
    ("key", "more"),
    [
        ("", []),
        ("zz" * 32, []),
        ("00" * 32, []),
        ("aabb", []),
        (KEY.hex(), ["--options", "113106"]),
        (KEY.hex(), ["--quarantine", "in/aside"]),
    ],
)
def test_a_weak_key_an_unknown_option_and_mixed_folders_are_refused(
    given: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    key: str,
    more: list[str],
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, key)
    monkeypatch.chdir(given)
    assert run(given, *more) == 2
    assert not (given / "out").exists()
    assert not key or key not in capsys.readouterr().err


def test_a_key_may_come_from_a_file_as_hex_or_raw(given: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(given)
    expected = (given / "out" / "a.dcm").read_bytes()
    monkeypatch.delenv(KEY_VARIABLE)
    for name, content in (("hex", KEY.hex().encode() + b"\n"), ("raw", KEY)):
        (given / name).write_bytes(content)
        assert main([str(given / "in"), str(given / f"out-{name}"), "--key-file", str(given / name)]) == 0
        assert (given / f"out-{name}" / "a.dcm").read_bytes() == expected


def test_a_fault_of_the_engine_quarantines_and_says_no_more_than_its_kind(
    given: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(*args: object) -> None:
        raise KeyError("ZQFAMILY")

    monkeypatch.setattr(folder, "deidentify_file", fault)
    assert run(given) == 0
    assert files(given / "out") == []
    assert "fault: KeyError" in (given / "report.json").read_text()
    assert "ZQ" not in (given / "report.json").read_text()


def test_a_file_that_cannot_be_written_fails_the_run_and_no_other_file(given: Path) -> None:
    (given / "out" / "a.dcm").mkdir(parents=True)
    assert run(given) == 1
    assert (given / "out" / "sub" / "b.dcm").is_file()


def test_a_full_disk_is_named(given: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device", "ZQFAMILY")

    monkeypatch.setattr(folder, "deidentify_file", full)
    assert run(given) == 1
    assert {each["reason"] for each in report(given)} == {"OSError ENOSPC"}


def test_an_empty_folder_is_no_success(given: Path) -> None:
    (given / "empty").mkdir()
    assert main([str(given / "empty"), str(given / "out")]) == 1


def test_what_is_no_regular_file_is_not_read_and_fails_the_run(given: Path) -> None:
    os.mkfifo(given / "in" / "pipe")
    for name, leads in (("link", "a.dcm"), ("loop", "."), ("gone", "nowhere"), ("out", str(given))):
        (given / "in" / name).symlink_to(leads)
    assert run(given) == 1
    assert files(given / "out") == ["a.dcm", "sub/b.dcm"]
    failed = {each["path"]: each["reason"] for each in report(given) if each["status"] == "failed"}
    assert failed == {"pipe": "special-file", "link": "link", "loop": "link", "gone": "link", "out": "link"}


def test_a_folder_that_cannot_be_listed_fails_the_run_and_no_file_beside_it(
    given: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = os.scandir

    def scandir(path: object) -> object:
        if isinstance(path, Path) and path.name == "sub":
            raise PermissionError(13, "denied", str(path))
        return listed(path)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "scandir", scandir)
    assert run(given) == 1
    assert files(given / "out") == ["a.dcm"]
    assert {"sub": "PermissionError"}.items() <= {
        each["path"]: each["reason"] for each in report(given)
    }.items()


def test_a_name_that_is_no_unicode_is_written_sealed_and_reported(given: Path) -> None:
    for name, content in ((b"\xff.dcm", to_bytes(ct_slice("c"))), (b"\xfe.txt", b"about ZQFAMILY")):
        (given / "in" / os.fsdecode(name)).write_bytes(content)
    assert run(given) == 0
    assert (given / "out" / os.fsdecode(b"\xff.dcm")).is_file()
    sealed = (given / "out-quarantine" / os.fsdecode(b"\xfe.txt.sealed")).read_bytes()
    assert unseal(sealed, KEY, os.fsdecode(b"\xfe.txt")) == b"about ZQFAMILY"
    assert len(report(given)) == 6


@pytest.mark.parametrize("report_at", ["in/a.dcm", "in/sub/report.json", "out-of", "a-file/report.json"])
def test_a_report_that_cannot_be_written_behind_the_work_is_refused_before_it(
    given: Path, report_at: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (given / "in" / "a.dcm").read_bytes()
    (given / "out-of").mkdir()
    (given / "a-file").touch()
    assert main([str(given / "in"), str(given / "out"), "--report", str(given / report_at)]) == 2
    assert "Not started" in capsys.readouterr().err
    assert not (given / "out").exists()
    assert (given / "in" / "a.dcm").read_bytes() == before


def test_a_report_goes_into_a_folder_that_is_made_for_it(given: Path) -> None:
    assert main([str(given / "in"), str(given / "out"), "--report", str(given / "new" / "report.json")]) == 0
    assert json.loads((given / "new" / "report.json").read_text())["summary"]["written"] == 2


@pytest.mark.parametrize("place", ["out", "out-quarantine"])
def test_a_file_where_a_folder_is_to_be_starts_nothing(given: Path, place: str) -> None:
    (given / place).touch()
    assert run(given) == 2
    assert not (given / "report.json").exists()


def test_a_wrong_option_is_named_as_it_was_written(given: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(given, "--options", "[/b],[red]x") == 2
    assert "[/b], [red]x" in capsys.readouterr().err


def test_a_command_that_is_stopped_leaves_no_half_file(tmp_path: Path) -> None:
    image = ct_slice()
    image.file_meta.TransferSyntaxUID = RLELossless
    image.PixelData = encapsulate([bytes(1 << 20)])
    image["PixelData"].VR = "OB"
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    (tmp_path / "in" / "a.dcm").write_bytes(to_bytes(image))
    half = tmp_path / "out" / "a.dcm.part"
    os.mkfifo(half)  # which takes less than the file is long: the command waits in the midst of it
    command = [sys.executable, "-m", "stream_processors.deidentification", "in", "out"]
    command[3:] = [str(tmp_path / each) for each in command[3:]]
    environment = {**os.environ, KEY_VARIABLE: KEY.hex()}
    with (
        subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process,
        half.open("rb") as reader,
    ):
        assert reader.read(200)[128:132] == b"DICM"
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    assert "Stopped" in said
    assert "Traceback" not in said
    assert list((tmp_path / "out").iterdir()) == []
