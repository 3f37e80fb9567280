"""Real images with text in their pixels, where there are any beside the repository: cleaned, or refused with a reason."""

from __future__ import annotations

import hashlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.pixels.utils import pixel_array

from schemas.identifiers import PseudonymKey, Pseudonyms
from stream_processors.deidentification import DEFAULT, Deidentified, Profile, RefusedError, deidentify
from stream_processors.deidentification.clean_pixels import clean_pixels
from stream_processors.deidentification.pixels_at_risk import withhold

SAMPLES = Path(__file__).parents[3] / "shared" / "dicom-samples"
NAMES = Pseudonyms(PseudonymKey("epoch-1", hashlib.sha256(b"a test master").digest()))
CLEANING = Profile(DEFAULT.options | {"113101"})
WRITTEN = {
    "cxr/cxr_burned_in_phi_rle.dcm": (
        (25, 25, 241, 37),
        (287, 25, 230, 36),
        (535, 25, 60, 45),
        (613, 26, 226, 35),
        (170, 72, 218, 35),
    ),
    "multiframe/us_echo_jpeg_baseline_8f.dcm": (),
    "transfer-syntax/testpattern_palette.dcm": (),
    "us/us_philips_rle_private.dcm": (),
    "us/us_rgb_j2k.dcm": (),
}
"""Where name, birth date and study date are known to stand (left, top, width, height), by file."""
THERE = [name for name in WRITTEN if (SAMPLES / name).is_file()]

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(900)]


def ending(raw: bytes) -> Deidentified | str:
    """The clean file, or why there is none."""
    try:
        return deidentify(raw, NAMES, CLEANING, clean_pixels)
    except RefusedError as refused:
        return refused.reason


@pytest.mark.parametrize("name", THERE)
def test_text_in_a_real_image_is_blanked_or_the_file_refused(name: str) -> None:
    raw = (SAMPLES / name).read_bytes()
    assert deidentify(raw, NAMES, CLEANING, withhold).pixels_at_risk
    made = ending(raw)
    if isinstance(made, str):
        assert made.startswith("pixels-")
        return
    assert made.pixels_at_risk is None
    assert made.report.blanked is not None
    data_set = pydicom.dcmread(BytesIO(made.data))
    assert "113101" in [item.CodeValue for item in data_set.DeidentificationMethodCodeSequence]
    before, after = (pixel_array(pydicom.dcmread(BytesIO(each))) for each in (raw, made.data))
    for left, top, width, height in WRITTEN[name]:
        place = slice(top, top + height), slice(left, left + width)
        assert len(np.unique(before[place])) > 1
        _values, counts = np.unique(after[place], return_counts=True)
        assert counts.max() > 0.6 * after[place].size  # the places are larger than their letters
