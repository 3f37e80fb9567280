"""What a process imports: nothing that reports its use to anybody, no engine that it does not use."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.repository import ROOT

SILENCED = "ORT_DISABLE_TELEMETRY"


@pytest.mark.parametrize(
    "module", ["inference.in_process", "stream_processors.deidentification.text_detection"]
)
def test_onnx_runtime_is_told_to_report_nothing_before_it_is_imported(module):
    script = (
        "import builtins, importlib, os, sys\n"
        "real = builtins.__import__\n"
        "def watched(name, *more, **most):\n"
        "    if name.split('.')[0] == 'onnxruntime' and 'onnxruntime' not in sys.modules:\n"
        f"        assert os.environ.get({SILENCED!r}) == '1', 'imported before it was told'\n"
        "    return real(name, *more, **most)\n"
        "builtins.__import__ = watched\n"
        f"importlib.import_module({module!r})\n"
        f"sys.exit(os.environ[{SILENCED!r}] != '1')\n"
    )
    bare = {name: value for name, value in os.environ.items() if name != SILENCED}
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True, env=bare
    )
    assert done.returncode == 0, done.stderr


def test_the_embedded_profile_does_not_load_the_stream_engine():
    program = (
        "import sys; from stream_processors.__main__ import engine; engine('embedded'); "
        "sys.exit('faust' in sys.modules or 'aiokafka' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0
