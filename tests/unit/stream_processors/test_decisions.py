"""Deciding once, also when somebody else decides at the same moment."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runtime.errors import RetryError
from schemas.rows import AlertRow
from stream_processors.decisions import ATTEMPTS, decide
from tests.support.context import FolderContext, World

KEY: dict[str, Any] = {"site": "north", "study": "st", "alert_id": "a"}


def changed(row: AlertRow | None) -> AlertRow:
    empty = AlertRow(**KEY)
    return replace(row or empty, version=((row.version or 0) if row else 0) + 1)


@pytest.mark.parametrize("rivals", [0, 1, ATTEMPTS - 1])
def test_a_decision_is_made_on_the_row_as_it_is_after_any_rivals(tmp_path: Path, rivals: int) -> None:
    world = World(tmp_path)
    left = rivals

    def choose(row: AlertRow | None) -> AlertRow:
        nonlocal left
        if left:
            left -= 1
            _change(world)
        return changed(row)

    row = asyncio.run(decide(FolderContext(world, "raise_alerts"), AlertRow, KEY, choose))
    assert row is not None
    assert row.version == rivals + 1


def test_a_row_that_never_stands_still_is_tried_later(tmp_path: Path) -> None:
    world = World(tmp_path)

    def choose(row: AlertRow | None) -> AlertRow:
        _change(world)
        return changed(row)

    with pytest.raises(RetryError):
        asyncio.run(decide(FolderContext(world, "raise_alerts"), AlertRow, KEY, choose))


def _change(world: World) -> None:
    current = world.tables.get(AlertRow, **KEY)
    if current is None:
        assert world.tables.insert_if_absent(changed(None)).applied
    else:
        assert world.tables.compare_and_set(changed(current), expect={"version": current.version}).applied
