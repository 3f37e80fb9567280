"""Where text stands in a picture. The one file that knows the OCR library; it runs in the pixel worker only.

Text is found, not read: every line of it goes, whatever it says. What is small is looked at enlarged, what is large
in tiles that overlap.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rapidocr import RapidOCR

from stream_processors.deidentification.regions import Box

Picture = NDArray[np.uint8]
"""(rows, columns, 3)."""

TILE: Final = 1024
"""pixels; larger pictures are looked at in tiles of this side."""
OVERLAP: Final = 160
"""pixels that tiles share, so that a word on a border is whole in one of them."""
MARGIN: Final = 3
"""pixels around a finding: glyphs' soft edges."""
BESIDE: Final = 1.0
"""heights of a line by which a close look's finding grows at both ends: first and last letters are what it loses."""
LARGE, LARGE_SHARE = 64, 6
"""A finding with both sides larger than so many pixels, and than the part of the picture's height, is as large as anatomy:
it counts when letters can be read in it."""
READ, LETTERS = 0.6, 3
"""Score and number of letters and digits that make it text."""
ENLARGED_BELOW: Final = 1_100_000
"""pixels of a picture that is enlarged twice for a close look: letters of eight pixels are found at sixteen."""
SMALLEST_SIDE: Final = 32
"""pixels; what is smaller is padded, the detector's coarsest grid being this wide."""
DOUBTFUL, CERTAIN = 0.3, 0.5
"""score from which a finding counts: in a close look, which takes what may be text, and in a later one, the library's own."""


class TextDetector:
    """The detector, loaded once for each process (some 0.5 s)."""

    def __init__(self) -> None:
        self._library = RapidOCR(
            params={
                "Global.log_level": "critical",
                "Global.use_cls": False,
                "Global.use_rec": False,
                "Global.max_side_len": 2 * TILE,
                "EngineConfig.onnxruntime.intra_op_num_threads": 1,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
                "Det.limit_type": "max",
                "Det.limit_side_len": 2 * TILE,
                "Det.thresh": 0.2,
                "Det.max_candidates": 5000,  # of noise in relief there are many; the library looks at the first ones
            }
        )

    def find(self, picture: Picture, *, close: bool) -> list[Box]:
        """Find lines of text; `close` takes doubtful ones, and looks at small pictures enlarged (four times the cost)."""
        rows, columns = picture.shape[:2]
        scale = 2 if close and rows * columns <= ENLARGED_BELOW else 1
        found = [
            Box(box.left + left, box.top + top, box.right + left, box.bottom + top).within(rows, columns)
            for left, top, tile in _tiles(picture)
            for box in self._found(tile, scale, close=close)
        ]
        limit = max(LARGE, rows // LARGE_SHARE)
        return [box for box in found if not box.is_empty and self._is_text(picture, box, limit)]

    def _is_text(self, picture: Picture, box: Box, limit: int) -> bool:
        """Read what is large; all else goes as it was found."""
        if min(box.right - box.left, box.bottom - box.top) <= limit:
            return True
        part = picture[box.top : box.bottom, box.left : box.right, ::-1].copy()
        read = self._library(part, use_det=False, use_cls=False, use_rec=True, text_score=0.0)
        lines = zip(getattr(read, "txts", None) or (), getattr(read, "scores", None) or (), strict=False)
        return any(sum(map(str.isalnum, text)) >= LETTERS and score >= READ for text, score in lines)

    def _found(self, tile: Picture, scale: int, *, close: bool) -> Iterator[Box]:
        height, width = tile.shape[:2]
        if scale != 1:
            image = Image.fromarray(tile).resize((width * scale, height * scale), Image.Resampling.BICUBIC)
            tile = np.asarray(image)
        short = [(0, max(SMALLEST_SIDE - side, 0)) for side in tile.shape[:2]]
        tile = np.pad(tile, (*short, (0, 0)))
        found = self._library(
            tile[:, :, ::-1].copy(),
            use_det=True,
            use_cls=False,
            use_rec=False,
            box_thresh=DOUBTFUL if close else CERTAIN,
        )
        corners = getattr(
            found, "boxes", None
        )  # several kinds of result may come; that of detection has them
        for points in () if corners is None else corners:
            low, high = np.floor(points.min(axis=0) / scale), np.ceil(points.max(axis=0) / scale)
            beside = MARGIN + (int(BESIDE * min(high - low)) if close else 0)
            yield Box(
                int(low[0]) - beside,
                int(low[1]) - MARGIN,
                int(high[0]) + beside + 1,
                int(high[1]) + MARGIN + 1,
            )


def _tiles(picture: Picture) -> Iterator[tuple[int, int, Picture]]:
    rows, columns = picture.shape[:2]
    for top in _starts(rows):
        for left in _starts(columns):
            yield left, top, picture[top : top + TILE, left : left + TILE]


def _starts(side: int) -> range:
    return range(0, max(side - OVERLAP, 1), TILE - OVERLAP)
