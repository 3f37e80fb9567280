from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

SHIM = Path(__file__).parents[3] / "inference" / "triton_shim.py"


@pytest.fixture
def shim(monkeypatch):
    """The file as the server's process loads it; of the server's module only what is needed here."""
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    server = SimpleNamespace(triton_string_to_numpy={"TYPE_UINT16": np.uint16}.__getitem__)
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", server)
    spec = importlib.util.spec_from_file_location("triton_shim_under_test", SHIM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_its_library_is_told_to_report_nothing(shim):
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
    source = SHIM.read_text("utf-8")
    assert source.index('os.environ["ORT_DISABLE_TELEMETRY"]') < source.index("import onnxruntime")


def best(shim, monkeypatch, row_ms, *, dims=(1, 8, 8), most=16):
    """What a process takes whose session spends so many milliseconds on each row of a run of so many."""
    spent, runs = [0.0], []

    def run(_outputs, inputs):
        rows = len(inputs["image"])
        assert inputs["image"].dtype == np.uint16
        runs.append(rows)
        spent[0] += rows * row_ms(rows) / 1000

    monkeypatch.setattr(shim.time, "thread_time", lambda: spent[0])
    model = shim.TritonPythonModel()
    model.session, model.input_names, model.output_names = SimpleNamespace(run=run), ["image"], ["logits"]
    tensor = {"dims": list(dims), "data_type": "TYPE_UINT16"}
    return model._best_piece({"input": [tensor], "max_batch_size": most}), runs


@pytest.mark.parametrize(
    ("row_ms", "expected"),
    [
        ({1: 8.08, 2: 8.18, 4: 7.72, 8: 7.49}, 8),
        ({1: 1.59, 2: 1.62, 4: 1.65, 8: 1.72}, 4),
        ({1: 1.96, 2: 2.03, 4: 2.19, 8: 2.25}, 2),
        ({1: 5.0, 2: 6.0, 4: 7.0, 8: 8.0}, 1),
    ],
)
def test_as_many_rows_are_computed_together_as_cost_least_each(shim, monkeypatch, row_ms, expected):
    assert best(shim, monkeypatch, row_ms.__getitem__)[0] == expected


def test_no_more_rows_are_tried_than_the_model_takes(shim, monkeypatch):
    piece, runs = best(shim, monkeypatch, lambda rows: 1.0 / rows, most=2)

    assert (piece, max(runs)) == (2, 2)


@pytest.mark.parametrize(
    ("row_ms", "dims", "most", "tried"),
    [(60.0, (1, 8, 8), 16, [1, 1]), (1.0, (1, -1, -1), 16, []), (1.0, (1, 8, 8), 0, [])],
)
def test_what_takes_long_or_has_any_size_is_not_measured(shim, monkeypatch, row_ms, dims, most, tried):
    piece, runs = best(shim, monkeypatch, lambda _: row_ms, dims=dims, most=most)

    assert (piece, runs) == (shim.PIECE, tried)
