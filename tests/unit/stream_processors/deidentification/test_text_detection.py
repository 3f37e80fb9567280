"""The OCR library itself, once: drawn text is found, an image without any is left alone."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from stream_processors.deidentification.regions import Box
from stream_processors.deidentification.text_detection import TextDetector


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
