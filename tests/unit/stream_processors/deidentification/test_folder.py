from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag

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


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_clean_files_keep_their_paths_and_all_others_are_sealed_with_a_reason(given: Path) -> None:
    assert run(given) == 0
    assert files(given / "out") == ["a.dcm", "sub/b.dcm"]
    assert files(given / "out-quarantine") == ["notes.txt.sealed", "sub/us.dcm.sealed"]
    report = json.loads((given / "report.json").read_text())
    reasons = {each["path"]: each["reason"] for each in report["files"]}
    assert reasons == {
        "a.dcm": "",
        "sub/b.dcm": "",
        "notes.txt": "not-dicom",
        "sub/us.dcm": "pixels-at-risk: ultrasound",
    }
    assert {"attribute": "(0010,0010) PatientName", "action": "empty"} in report["files"][0]["actions"]


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


def test_an_empty_folder_is_no_success(given: Path) -> None:
    (given / "empty").mkdir()
    assert main([str(given / "empty"), str(given / "out")]) == 1
