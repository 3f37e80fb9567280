"""Nothing of ours reports its use to anybody."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

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
