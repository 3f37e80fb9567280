"""`radstream simulate`: JSON, a table and a picture of one and the same outcome."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from cli.main import app

FEW = ["simulate", "--days", "2", "--seeds", "1"]


def test_it_tells_scenario_waits_and_changes_as_json_and_draws_them(tmp_path: Path) -> None:
    picture = tmp_path / "waits.png"
    done = CliRunner().invoke(app, [*FEW, "--json", "--plot", str(picture)])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["scenario"]["readers"] == 3
    assert told["change"]["critical"]["mean"] < 0
    assert told["within_alert_budget"] is True
    image = Image.open(picture)
    assert image.format == "PNG"
    assert image.width > image.height > 300
    colours = image.convert("RGB").getcolors(1 << 24)
    assert colours is not None
    assert {(154, 165, 177), (11, 114, 133)} <= {colour for _, colour in colours}


def test_it_shows_a_table() -> None:
    done = CliRunner().invoke(app, FEW)
    assert done.exit_code == 0
    assert "critical" in done.stdout
    assert "alerts per reader" in done.stdout


def test_a_load_that_no_readers_can_read_is_refused() -> None:
    assert CliRunner().invoke(app, [*FEW, "--load", "1.2"]).exit_code == 1


def test_a_picture_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, [*FEW, "--plot", str(tmp_path / "missing" / "waits.png")])

    assert done.exit_code == 1
    assert done.exception is None or isinstance(done.exception, SystemExit)
    assert "No such file" in done.output


@pytest.mark.parametrize("load", ["0.01", "0.1", "0.00000001"])
def test_readers_with_little_to_do_are_told_of_in_json_and_in_a_table(load: str, tmp_path: Path) -> None:
    told = CliRunner().invoke(app, [*FEW, "--load", load, "--json"])
    shown = CliRunner().invoke(app, [*FEW, "--load", load, "--plot", str(tmp_path / "waits.png")])

    assert (told.exit_code, shown.exit_code) == (0, 0)
    json.loads(told.stdout, parse_constant=pytest.fail)
