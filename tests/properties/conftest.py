"""Every example has a folder of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import pytest

from tests.support.quick_files import quick_place


@pytest.fixture(autouse=True, scope="module")
def _quick_files() -> Iterator[None]:
    place, tempfile.tempdir = tempfile.tempdir, quick_place()
    yield
    tempfile.tempdir = place
