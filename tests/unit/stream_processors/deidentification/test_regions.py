from __future__ import annotations

import pytest

from stream_processors.deidentification.encoding import EXPLICIT_BIG, EXPLICIT_LITTLE, Encoding
from stream_processors.deidentification.facts import Facts
from stream_processors.deidentification.regions import Box, device_boxes, load_regions, outside

IU22 = {
    0x00080060: b"US", 0x00080070: b"Philips Medical Systems ", 0x00081090: b"iU22", 0x00280010: b"\0\x03",
}  # fmt: skip


def facts(values: dict[int, bytes], encoding: Encoding = EXPLICIT_LITTLE) -> Facts:
    return Facts(values, encoding, [], [])


def test_every_row_has_a_source_a_condition_and_boxes() -> None:
    assert [row for row in load_regions() if not (row.source and row.asked and row.boxes)] == []


@pytest.mark.parametrize("encoding", [EXPLICIT_LITTLE, EXPLICIT_BIG])
def test_a_device_is_found_by_model_and_size(encoding: Encoding) -> None:
    size = b"\0\x03" if encoding is EXPLICIT_LITTLE else b"\x03\0"
    assert device_boxes(facts(IU22 | {0x00280010: size}, encoding)) == (Box(0, 0, 1024, 75),)


@pytest.mark.parametrize(
    "other", [{0x00280010: b"\1\3"}, {0x00081090: b"EPIQ"}, {0x00080060: b"MR"}, {0x00081090: b""}]
)
def test_another_device_or_size_is_not(other: dict[int, bytes]) -> None:
    assert device_boxes(facts(IU22 | other)) == ()


@pytest.mark.parametrize(
    "regions",
    [
        [Box(2, 3, 8, 7)],
        [Box(0, 0, 10, 10)],
        [Box(1, 1, 4, 9), Box(3, 5, 9, 20)],
        [Box(0, 2, 3, 4), Box(5, 2, 9, 4), Box(5, 3, 6, 4)],
    ],
)
def test_the_outside_is_all_but_the_regions_and_no_pixel_twice(regions: list[Box]) -> None:
    seen = [[0] * 10 for _ in range(10)]
    for box in outside(regions, 10, 10):
        for row in range(box.top, box.bottom):
            for column in range(box.left, box.right):
                seen[row][column] += 1
    for row in range(10):
        for column in range(10):
            inside = any(b.top <= row < b.bottom and b.left <= column < b.right for b in regions)
            assert seen[row][column] == (not inside)


@pytest.mark.parametrize("regions", [[], [Box(20, 20, 30, 30)], [Box(5, 5, 5, 9)]])
def test_where_nothing_is_declared_nothing_is_outside(regions: list[Box]) -> None:
    assert list(outside(regions, 10, 10)) == []
