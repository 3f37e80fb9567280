"""Find what has to go from the pixels, take it out of every frame, and look again until nothing is found."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from pydicom.dataset import Dataset

from stream_processors.deidentification.frames import DAMAGE, Form, Stored
from stream_processors.deidentification.pictures import (
    Picture,
    black,
    close_pictures,
    layer_closely,
    pictures,
)
from stream_processors.deidentification.refusal import RefusedError
from stream_processors.deidentification.regions import Box, outside

LOOKS: Final = 5
"""times that the frames are looked at, the first time closely; the last has to find nothing."""
STILLS: Final = 4
"""frames that are each looked at closely; of a longer run the close look is at what lies over all its frames."""


class Detector(Protocol):
    """What finds text in a picture."""

    def find(self, picture: Picture, *, close: bool) -> list[Box]:
        """Give boxes of text in a picture (rows, columns, 3)."""


@dataclass(frozen=True, slots=True)
class Found:
    """Boxes by what they were found by."""

    device: tuple[Box, ...]
    outside: tuple[Box, ...]
    text: tuple[Box, ...]

    @property
    def boxes(self) -> tuple[Box, ...]:
        """All of them."""
        return self.device + self.outside + self.text


def blank_all(
    values: Stored, form: Form, dataset: Dataset, device: tuple[Box, ...], detector: Detector
) -> tuple[Found, tuple[int, ...]]:
    """Blank identity in place, in every frame; give the boxes, and the value that fills them.

    Raises
    ------
    RefusedError
        pixels-text-remains, when the last look still found text.
    """
    fill = black(form, dataset, values)
    known = tuple(_inside(device, form))
    beyond = tuple(outside(declared(dataset), form.rows, form.columns))
    blank(values, (*known, *beyond), fill)
    text: list[Box] = []
    for look in range(LOOKS):
        new = _text(values, form, dataset, detector, close=look == 0)
        if not new:
            return Found(known, beyond, tuple(text)), fill
        blank(values, new, fill)
        text += new
    raise RefusedError("pixels-text-remains")


def blank(values: Stored, boxes: tuple[Box, ...] | list[Box], fill: tuple[int, ...]) -> None:
    """Fill boxes in every frame."""
    for box in boxes:
        values[:, box.top : box.bottom, box.left : box.right] = fill


def declared(dataset: Dataset) -> list[Box]:
    """Read Sequence of Ultrasound Regions (PS3.3 §C.8.5.5); its right and lower edges lie inside."""
    try:
        return [
            Box(
                int(item.RegionLocationMinX0),
                int(item.RegionLocationMinY0),
                int(item.RegionLocationMaxX1) + 1,
                int(item.RegionLocationMaxY1) + 1,
            )
            for item in dataset.get("SequenceOfUltrasoundRegions") or ()
        ]
    except DAMAGE:
        raise RefusedError("pixels-unreadable") from None


def _inside(boxes: tuple[Box, ...], form: Form) -> Iterator[Box]:
    for box in boxes:
        cut = box.within(form.rows, form.columns)
        if not cut.is_empty:
            yield cut


def _text(values: Stored, form: Form, dataset: Dataset, detector: Detector, *, close: bool) -> list[Box]:
    """Look at every frame that differs from all others; closely at a few, or at what lies over all of them."""
    found: set[Box] = set()
    seen: set[bytes] = set()
    for frame in values:
        digest = hashlib.sha256(frame.tobytes()).digest()
        if digest not in seen:
            seen.add(digest)
            closely = close and len(values) <= STILLS
            shown = close_pictures(frame, form, dataset) if closely else pictures(frame, form, dataset)
            for picture in shown:
                found.update(detector.find(picture, close=closely))
    if len(values) > STILLS:
        for way in (np.max, np.min):
            for layer in _over_all(values, form, dataset, way):
                for picture in layer_closely(layer) if close else [layer]:
                    found.update(detector.find(picture, close=close))
    return sorted(found)


def _over_all(values: Stored, form: Form, dataset: Dataset, way: Callable[..., Picture]) -> Iterator[Picture]:
    """Lay all frames over each other: what stands still stays sharp, and what shows once shows still."""
    layers: list[Picture] = []
    for frame in values:
        for place, picture in enumerate(pictures(frame, form, dataset)[:1]):
            if place < len(layers):
                layers[place] = way(np.stack((layers[place], picture)), axis=0)
            else:
                layers.append(picture)
    yield from layers
