from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from runtime.errors import StopError
from stream_processors import catalogue, steps
from stream_processors.__main__ import listing, main


@pytest.mark.parametrize("name", catalogue.names())
def test_every_file_in_steps_is_a_step(name: str) -> None:
    step = catalogue.load(name)
    assert step.summary
    assert step.reads


def test_a_name_without_a_file_or_a_file_without_a_step_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "no_step_in_here.py").write_text("STEP = 1\n")
    monkeypatch.setattr(steps, "__path__", [*steps.__path__, str(tmp_path)])
    importlib.invalidate_caches()
    for name in ("no_such_step", "no_step_in_here"):
        with pytest.raises(StopError):
            catalogue.load(name)


def test_the_list_names_every_step_with_what_it_reads(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--list"])
    printed = capsys.readouterr().out
    assert printed == listing() + "\n"
    assert all(f"{name}\n" in printed for name in catalogue.names())


@pytest.mark.parametrize("arguments", [[], ["no_such_step"], ["infer", "--list"]])
def test_a_command_line_that_names_no_step_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
