from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.memories import forget


@pytest.fixture
def cold() -> Iterator[None]:
    """Nothing is remembered of the files of other tests, nor of this one's afterwards."""
    forget()
    yield
    forget()
