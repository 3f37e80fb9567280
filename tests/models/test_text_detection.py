"""The OCR library itself, once: drawn text is found, an image without any is left alone."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset

from stream_processors.deidentification.frames import EXPLICIT, Form
from stream_processors.deidentification.pictures import close_pictures
from stream_processors.deidentification.regions import Box
from stream_processors.deidentification.text_detection import LARGE, TextDetector

FORM = Form(EXPLICIT, 160, 256, 1, 1, "MONOCHROME2", 0, 8, 8, 7, signed=False, vr="OB")


@pytest.fixture(scope="module")
def detector() -> TextDetector:
    return TextDetector()


def picture(text: str, at: tuple[int, int], *, size: int = 16) -> np.ndarray:
    shown = Image.new("RGB", (256, 160))
    ImageDraw.Draw(shown).ellipse((60, 40, 200, 150), fill=(70, 70, 70))
    ImageDraw.Draw(shown).text(at, text, fill=(255, 255, 255), font=ImageFont.load_default(size=size))
    return np.asarray(shown)


@pytest.mark.parametrize(
    ("text", "at", "size"),
    [("DOE^JANE 4711", (8, 8), 14), ("12/03/1956", (90, 80), 18), ("ID 99", (180, 130), 20)],
)
def test_every_bright_pixel_of_drawn_text_lies_in_a_box(
    detector: TextDetector, text: str, at: tuple[int, int], size: int
) -> None:
    shown = picture(text, at, size=size)
    left = shown[:, :, 0] > 200
    for box in detector.find(shown, close=True):
        left[box.top : box.bottom, box.left : box.right] = False
    assert not left.any()


@pytest.mark.parametrize("close", [True, False])
def test_nothing_is_found_where_nothing_is_written(detector: TextDetector, close: bool) -> None:
    slope = np.add.outer(np.arange(160), np.arange(256)) // 4
    assert detector.find(np.repeat(slope[:, :, None], 3, axis=2).astype(np.uint8), close=close) == []


def test_text_in_a_large_picture_is_found_in_its_place(detector: TextDetector) -> None:
    shown = np.zeros((300, 1500, 3), np.uint8)
    shown[40:200, 1200:1456] = picture("SMITH 4711", (20, 10))
    boxes = detector.find(shown, close=False)
    assert boxes
    assert all(Box(1190, 30, 1500, 90).within(300, 1500)[0] <= box.left and box.bottom < 100 for box in boxes)


def test_letters_as_large_as_anatomy_are_read_and_shapes_are_not(detector: TextDetector) -> None:
    shown = picture("DOE 47", (2, 20), size=60)
    large = np.asarray(Image.fromarray(shown).resize((768, 480)))
    assert any(box.bottom - box.top > LARGE for box in detector.find(large, close=False))
    body = Image.new("RGB", (512, 512))
    ImageDraw.Draw(body).ellipse((40, 120, 240, 400), fill=(150, 150, 150))
    ImageDraw.Draw(body).ellipse((270, 120, 470, 400), fill=(150, 150, 150))
    assert not detector._is_text(np.asarray(body), Box(30, 110, 480, 410), LARGE)


@pytest.mark.parametrize(
    ("slope", "noise", "contrast"), [(0.0, 24, 40), (0.3, 0, 12)], ids=["in noise", "on a slope"]
)
def test_faint_text_is_found_in_relief_and_by_evenness(
    detector: TextDetector, slope: float, noise: float, contrast: int
) -> None:
    rng = np.random.default_rng(3)
    plain = 60 + slope * np.add.outer(np.arange(160), np.arange(256)) + rng.normal(0, noise, (160, 256))
    ink = picture("DOE^JANE 4711", (60, 90))[:, :, 0] > 200
    ink[:80] = False
    plain[ink] = plain[ink].mean() + contrast if noise else plain[ink] + contrast
    stored = np.clip(np.rint(plain), 0, 255).astype(np.uint8)[:, :, None]
    for shown in close_pictures(stored, FORM, Dataset()):
        for box in detector.find(shown, close=True):
            ink[box.top : box.bottom, box.left : box.right] = False
    assert not ink.any()
