"""Preparing a run's engines."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli import launch
from cli.launch import NotReadyError
from runtime import patience
from runtime.errors import OutageError
from runtime.settings import Settings
from tests.support.installation import settings


def test_an_engine_that_calls_itself_well_and_refuses_its_first_question_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def answers_the_second_time(_settings: Settings, component: str, _consumers: object) -> None:
        asked.append(component)
        if len(asked) == 1:
            raise OutageError("Kafka: no answer")

    monkeypatch.setattr(launch, "prepared", answers_the_second_time)
    monkeypatch.setattr(patience, "FIRST_PAUSE_S", 0.0)
    launch._prepare(settings(tmp_path))
    assert asked == ["cli", "cli"]


def test_an_engine_that_never_answers_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise OutageError("Kafka: no answer")

    monkeypatch.setattr(launch, "prepared", never)
    monkeypatch.setattr(launch, "PREPARE_TIMEOUT_S", 0.0)
    with pytest.raises(NotReadyError, match="Kafka"):
        launch._prepare(settings(tmp_path))
