from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import RLELossless

from schemas.identifiers import PseudonymKey, Pseudonyms
from stream_processors.deidentification import RefusedError, deidentify, files
from stream_processors.deidentification.codestreams import DELIMITER
from stream_processors.deidentification.files import deidentify_file
from stream_processors.deidentification.pixels_at_risk import Pixels, Verdict
from tests.support.dicoms import ct_slice, to_bytes

NAMES = Pseudonyms(PseudonymKey("epoch-1", hashlib.sha256(b"a test master").digest()))
RAW = to_bytes(ct_slice())


@pytest.mark.parametrize("first_bytes", [1024, len(RAW) - 40, 64 * 1024])
@pytest.mark.parametrize("verified", [True, False])
def test_a_file_becomes_what_its_bytes_become_however_much_is_read_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first_bytes: int, verified: bool
) -> None:
    monkeypatch.setattr(files, "FIRST_BYTES", first_bytes)
    (tmp_path / "in").write_bytes(RAW)
    deidentify_file(tmp_path / "in", tmp_path / "out", NAMES, verified=verified)
    assert (tmp_path / "out").read_bytes() == deidentify(RAW, NAMES).data
    assert sorted(each.name for each in tmp_path.iterdir()) == ["in", "out"]


@pytest.mark.parametrize("at_once", [1, 7, 200, 100_000])
def test_a_write_that_is_cut_short_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    def few(out: int, buffers: list[bytes | memoryview]) -> int:
        return os.write(out, b"".join(buffers)[:at_once])

    monkeypatch.setattr(os, "writev", few)
    (tmp_path / "in").write_bytes(RAW)
    deidentify_file(tmp_path / "in", tmp_path / "out", NAMES)
    assert (tmp_path / "out").read_bytes() == deidentify(RAW, NAMES).data


def test_a_refused_file_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(RAW[:-10])
    with pytest.raises(RefusedError, match="truncated"):
        deidentify_file(tmp_path / "in", tmp_path / "out", NAMES)
    assert not (tmp_path / "out").exists()


def compressed() -> bytes:
    image = ct_slice()
    image.file_meta.TransferSyntaxUID = RLELossless
    image.PixelData = encapsulate([bytes(range(200)), bytes(300)])
    image["PixelData"].VR = "OB"
    return to_bytes(image)


def test_a_second_run_over_compressed_pixels_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(compressed())
    deidentify_file(tmp_path / "in", tmp_path / "out", NAMES)
    again = deidentify_file(tmp_path / "out", tmp_path / "again", NAMES)
    assert again.report.own_output
    assert (tmp_path / "again").read_bytes() == (tmp_path / "out").read_bytes()


@pytest.mark.parametrize(
    ("value", "holds"),
    [
        (encapsulate([b"cleaned!"]) + DELIMITER, True),
        (encapsulate([b"cleaned!"]), False),
        (b"no fragments", False),
    ],
)
def test_compressed_pixels_that_were_cleaned_are_read_again_and_written(
    tmp_path: Path, value: bytes, holds: bool
) -> None:
    def cleans(_pixels: Pixels) -> Verdict:
        return Verdict(value=value, vr="OB", codes=("113101",))

    (tmp_path / "in").write_bytes(compressed())
    if not holds:
        with pytest.raises(RefusedError, match="verification-failed"):
            deidentify_file(tmp_path / "in", tmp_path / "out", NAMES, policy=cleans)
        return
    deidentify_file(tmp_path / "in", tmp_path / "out", NAMES, policy=cleans)
    assert (tmp_path / "out").read_bytes() == deidentify(compressed(), NAMES, policy=cleans).data
    again = deidentify_file(tmp_path / "out", tmp_path / "again", NAMES)
    assert again.report.own_output
