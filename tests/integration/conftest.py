"""Patience with engines on a machine that others use: our own limits are for processes, which try again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

ANSWER_S = 120.0
"""seconds for one answer, and for a login."""
LIMITS = (
    "runtime.kafka.ANSWER_S",
    "runtime.registry.ANSWER_S",
    "runtime.tables.CONNECT_TIMEOUT_S",
    "runtime.tables.REQUEST_TIMEOUT_S",
)


@pytest.fixture(scope="module", autouse=True)
def _patience() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in LIMITS:
            patch.setattr(name, ANSWER_S)
        yield
