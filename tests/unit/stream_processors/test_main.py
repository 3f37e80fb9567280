from __future__ import annotations

import subprocess
import sys

import pytest

from stream_processors import app, local
from stream_processors.__main__ import engine
from tests.support.repository import ROOT


@pytest.mark.parametrize(("profile", "run"), [("embedded", local.run), ("cluster", app.run)])
def test_the_profile_chooses_the_engine(profile, run):
    assert engine(profile) is run


def test_the_embedded_profile_does_not_load_the_stream_engine():
    program = (
        "import sys; from stream_processors.__main__ import engine; engine('embedded'); "
        "sys.exit('faust' in sys.modules or 'aiokafka' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0
