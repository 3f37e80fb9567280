from __future__ import annotations

import pytest

from stream_processors import app, local
from stream_processors.__main__ import engine


@pytest.mark.parametrize(("profile", "run"), [("embedded", local.run), ("cluster", app.run)])
def test_the_profile_chooses_the_engine(profile, run):
    assert engine(profile) is run
