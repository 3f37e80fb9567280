"""Where a device is known to write identity into its pixels, and what an ultrasound declares to be image.

The table is data (`regions.csv`): text is looked for in the attribute, sizes are equal, an empty cell asks nothing.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from itertools import pairwise
from typing import Final, Literal, NamedTuple

from stream_processors.deidentification.facts import Facts


class Box(NamedTuple):
    """A rectangle in pixels; `right` and `bottom` lie outside it."""

    left: int
    top: int
    right: int
    bottom: int

    def within(self, rows: int, columns: int) -> Box:
        """Cut the box to an image; what lies outside leaves a box of nothing."""
        return Box(
            min(max(self.left, 0), columns),
            min(max(self.top, 0), rows),
            min(max(self.right, 0), columns),
            min(max(self.bottom, 0), rows),
        )

    @property
    def is_empty(self) -> bool:
        """Whether there is no pixel in it."""
        return self.left >= self.right or self.top >= self.bottom


ASKED: Final = (
    0x00080060,
    0x00080070,
    0x00081090,
    0x00280010,
    0x00280011,
    0x00080008,
    0x0008103E,
    0x00280301,
)
"""Attributes of `Device`, in its order."""


class Device(NamedTuple):
    """What an image says of the device that made it, in lower case."""

    modality: str
    manufacturer: str
    model: str
    rows: str
    columns: str
    image_type: str
    series: str
    burned_in: str


CONTAINED: Final = ("manufacturer", "model", "image_type", "series")
"""Columns whose text may stand anywhere in the attribute; the others are equal to it."""


@dataclass(frozen=True, slots=True)
class Region:
    """One row of the table."""

    asked: tuple[tuple[str, str], ...]
    boxes: tuple[Box, ...]
    source: str

    def fits(self, device: Device) -> bool:
        """Whether the row speaks of a device."""
        for column, text in self.asked:
            value = str(getattr(device, column))
            if text not in value if column in CONTAINED else text != value:
                return False
        return True


@cache
def load_regions() -> tuple[Region, ...]:
    """Read the table."""
    text = files(__package__).joinpath("regions.csv").read_text("utf-8").partition("\n")[2]
    return tuple(_region(row) for row in csv.DictReader(text.splitlines()))


def _region(row: dict[str, str]) -> Region:
    boxes = []
    for each in row.pop("boxes").split():
        left, top, width, height = (int(number) for number in each.split(","))
        boxes.append(Box(left, top, left + width, top + height))
    source = row.pop("source")
    return Region(tuple((name, text.lower()) for name, text in row.items() if text), tuple(boxes), source)


def device_boxes(facts: Facts) -> tuple[Box, ...]:
    """Give the boxes of every row that speaks of a file's device; they may lie outside its image."""
    return _boxes(facts.encoding.endian, *[facts.values.get(tag, b"") for tag in ASKED])


@lru_cache(maxsize=4096)
def _boxes(endian: str, *values: bytes) -> tuple[Box, ...]:
    order: Literal["big", "little"] = "big" if endian == ">" else "little"
    device = Device(
        *(
            str(int.from_bytes(value[:2], order))
            if tag >> 16 == 0x0028 and tag != ASKED[-1]
            else value.decode("latin-1").strip(" \0").lower()
            for tag, value in zip(ASKED, values, strict=True)
        )
    )
    return tuple(box for region in load_regions() if region.fits(device) for box in region.boxes)


def outside(regions: Iterable[Box], rows: int, columns: int) -> Iterator[Box]:
    """Cover all of an image but the regions with boxes (PS3.3 §C.8.5.5: the rest is no ultrasound).

    Nothing comes when no region lies in the image: then nothing is declared.
    """
    inside = [region.within(rows, columns) for region in regions]
    inside = [region for region in inside if not region.is_empty]
    if not inside:
        return
    edges = sorted({0, rows, *(edge for region in inside for edge in (region.top, region.bottom))})
    for top, bottom in pairwise(edges):
        at = 0
        for region in sorted(each for each in inside if each.top <= top and each.bottom >= bottom):
            if region.left > at:
                yield Box(at, top, region.left, bottom)
            at = max(at, region.right)
        if at < columns:
            yield Box(at, top, columns, bottom)
