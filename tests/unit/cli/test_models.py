from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from cli import models
from cli.main import app
from inference.catalogue import all_models

RUN = CliRunner()


def told(*arguments):
    done = RUN.invoke(app, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.output)


def test_every_model_is_listed_with_its_version_and_digest():
    listed = {each["name"]: each for each in told("models")}

    assert set(listed) == set(all_models())
    for name, model in all_models().items():
        assert (listed[name]["version"], listed[name]["digest"]) == (model.SPEC.version, model.SPEC.digest)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nobody"], "No model 'nobody'"),
        (["ultrasound_demo", "--n", "0"], "between 1"),
        (["ultrasound_demo", "--seed", "-1"], "0 or more"),
    ],
)
def test_what_cannot_be_measured_is_said(arguments, said):
    done = RUN.invoke(app, ["evaluate", *arguments])

    assert done.exit_code == 1
    assert said in done.output


NETWORK = ["import-model", "torchxrayvision", "weights.pt", "--sha256", "ab", "--output", "made"]


@pytest.mark.parametrize("command", [["train", "cxr_demo"], NETWORK], ids=["train", "import-model"])
def test_without_torch_one_line_says_how_to_get_it(monkeypatch, tmp_path, command):
    monkeypatch.setattr(models, "find_spec", lambda name: None)
    monkeypatch.setenv(models.TRAINING_ENVIRONMENT, str(tmp_path))
    done = RUN.invoke(app, command)

    assert done.exit_code == 1
    assert "make .venv-training/.ready" in done.output


def asked(monkeypatch, tmp_path, command):
    """What the environment with torch is asked to run."""
    (tmp_path / "lib" / "python3.11" / "site-packages" / "torch").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    said = tmp_path / "bin" / "said"
    (tmp_path / "bin" / "python").write_text(
        '#!/bin/sh\necho "$OPENBLAS_NUM_THREADS $@" > "$(dirname "$0")/said"\n'
    )
    (tmp_path / "bin" / "python").chmod(0o755)
    monkeypatch.setattr(models, "find_spec", lambda name: None)
    monkeypatch.setenv(models.TRAINING_ENVIRONMENT, str(tmp_path))
    assert RUN.invoke(app, command).exit_code == 0
    return said.read_text().strip()


def test_training_runs_in_the_environment_that_has_torch_on_one_thread(monkeypatch, tmp_path):
    command = ["train", "cxr_demo", "--output", str(tmp_path)]

    assert asked(monkeypatch, tmp_path, command) == f"1 -m inference.make_model cxr_demo --output {tmp_path}"


def test_an_import_runs_in_the_environment_that_has_torch(monkeypatch, tmp_path):
    command = ["import-model", "monai-bundle", str(tmp_path), "--sha256", "ab", "--output", str(tmp_path)]
    told = f"monai-bundle {tmp_path} --sha256 ab --output {tmp_path}"

    assert asked(monkeypatch, tmp_path, command) == f"1 -m inference.training.imports {told}"
