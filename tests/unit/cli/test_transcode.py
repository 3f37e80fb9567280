"""Files are written anew beside their source, verified, and never over anything."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from cli.main import app
from inference.decoding import decode_frame
from inference.frames import open_image
from inference.syntaxes import HTJ2K_LOSSLESS
from tests.support.xray import xray

SOURCE = xray(PixelData=np.arange(256, dtype="<u2").tobytes())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "a.dcm").write_bytes(SOURCE)
    return tmp_path


def test_a_folder_is_transcoded_without_a_changed_value(folder: Path) -> None:
    told = CliRunner().invoke(app, ["transcode", str(folder / "in"), str(folder / "out")])

    made = (folder / "out" / "deep" / "a.dcm").read_bytes()
    assert (told.exit_code, told.stdout) == (0, "1 transcoded\n")
    assert open_image(made).syntax == HTJ2K_LOSSLESS
    np.testing.assert_array_equal(decode_frame(open_image(made)), decode_frame(open_image(SOURCE)))


def test_a_second_time_nothing_is_overwritten_and_what_is_in_htj2k_is_kept(folder: Path) -> None:
    arguments = ["transcode", str(folder / "in"), str(folder / "out")]
    CliRunner().invoke(app, arguments)
    place = folder / "out" / "deep" / "a.dcm"
    before = place.read_bytes()

    assert CliRunner().invoke(app, arguments).stdout == "1 there already\n"
    again = CliRunner().invoke(app, ["transcode", str(place), str(folder / "third")])

    assert place.read_bytes() == before
    assert again.stdout == "1 kept\n"
    assert (folder / "third" / "a.dcm").read_bytes() == before


def test_what_cannot_be_read_is_named_and_not_written(folder: Path) -> None:
    (folder / "in" / "b.dcm").write_bytes(b"no image")

    told = CliRunner().invoke(app, ["transcode", str(folder / "in"), str(folder / "out")])

    assert (told.exit_code, told.stdout) == (1, "1 refused, 1 transcoded\n")
    assert "b.dcm: " in told.stderr
    assert not (folder / "out" / "b.dcm").exists()
