"""`radstream evaluate`, on images made for the occasion."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from cli.main import app

RUN = CliRunner()


def told(*arguments):
    done = RUN.invoke(app, ["evaluate", "ultrasound_demo", *arguments, "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.output)


def test_an_evaluation_states_area_intervals_and_calibration():
    found = told("--seed", "7", "--n", "24")

    assert 0.5 < found["auroc_mean"] <= 1
    assert 0 <= found["ece"] <= 1
    assert (found["n"], found["seed"], found["name"]) == (24, 7, "ultrasound_demo")
    for area in found["auroc"].values():
        assert area["low"] <= area["value"] <= area["high"]


def test_other_seeds_are_other_images_and_the_same_seed_the_same():
    one, again, other = (told("--seed", seed, "--n", "16") for seed in ("1", "1", "2"))

    assert one == again
    assert one["labels"] != other["labels"]
