from __future__ import annotations

from pathlib import Path

import pytest

from stream_processors.steps import infer, publish_findings, route_study
from tests.support import scripted_model
from tests.support.context import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scripted model is the only one there is."""
    for step in (infer, publish_findings, route_study):
        monkeypatch.setattr(step, "all_models", lambda: {"scripted": scripted_model})
