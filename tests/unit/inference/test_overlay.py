from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from inference import overlay
from inference.localisation import Finding
from inference.models.cxr_demo import SIDE, SPEC, preprocess
from inference.training.phantoms import SyntheticIdentity, generate, to_dicom

WHO = SyntheticIdentity("Probe^Synthetic", "P1", "A1", "19700101", "F", datetime(2026, 1, 2, tzinfo=UTC))
FILE = to_dicom(generate(2, rows=512, columns=448, findings=frozenset()), WHO)
GEOMETRY = preprocess(FILE).geometry
HEAT = np.zeros((SIDE, SIDE), dtype=np.float32)
HEAT[100:140, 60:110] = 0.9
FOUND = Finding("effusion", 3.0, 0.999, True, (100.0, 200.0, 180.0, 280.0), HEAT)


def picture(findings):
    return Image.open(BytesIO(overlay.draw(FILE, findings, GEOMETRY, SPEC, kind="PNG")))


def test_the_picture_keeps_the_shape_of_the_image():
    shown = picture([FOUND])

    assert max(shown.size) == overlay.SMALLEST_SIDE
    assert shown.width / shown.height == pytest.approx(448 / 512, abs=0.01)


def test_the_banner_is_burned_in_even_without_a_finding():
    top = np.asarray(picture([]))[4, 4]

    assert top[0] > 2 * top[1]


def test_the_finding_is_coloured_where_it_is_and_nothing_is_elsewhere():
    plain, shown = (np.asarray(picture(f)).astype(int) for f in ([], [FOUND]))
    changed = np.abs(plain - shown).sum(axis=2) > 30
    scale = overlay.SMALLEST_SIDE / 512

    box = np.zeros_like(changed)
    box[int(170 * scale) : int(290 * scale), int(80 * scale) : int(300 * scale)] = True
    box[-40:] = True  # the caption
    assert changed[int(240 * scale), int(140 * scale)]
    assert not changed[~box].any()


def test_a_finding_below_its_threshold_is_not_drawn():
    absent = replace(FOUND, present=False, box=None)

    np.testing.assert_array_equal(np.asarray(picture([absent])), np.asarray(picture([])))


@pytest.mark.parametrize(("probability", "text"), [(0.5, "50%"), (0.994, "99%"), (0.9999, ">99%")])
def test_no_probability_is_shown_as_a_certainty(probability, text):
    assert overlay._percent(probability) == text


def test_it_is_a_small_jpeg_where_nothing_else_is_asked_for():
    data = overlay.draw(FILE, [FOUND], GEOMETRY, SPEC)

    assert Image.open(BytesIO(data)).format == "JPEG"
    assert len(data) < 200_000
