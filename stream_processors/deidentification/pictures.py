"""Frames as a person would see them, in several ways: text that one of them hides stands out in another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut, convert_color_space

from stream_processors.deidentification.frames import DAMAGE, Form, Stored
from stream_processors.deidentification.refusal import RefusedError

Picture = NDArray[np.uint8]
"""(rows, columns, 3)."""

NEIGHBOURHOOD: Final = 33
"""pixels on a side; a letter is smaller, and a shadow larger."""
SPREAD_GRAYS: Final = 50
"""grays of a picture in relief for one standard deviation of the neighbourhood."""
LEAST_SPREAD: Final = 3 / 255
"""of the frame's range; what spreads less is no contrast."""
NO_VALUE: Final = -(1 << 30)
"""Beyond the rim: equal to nothing."""
COMMON: Final = (0.5, 99.5)
"""percentiles of a frame that the second way of looking spreads over all grays."""


def pictures(frame: Stored, form: Form, dataset: Dataset) -> list[Picture]:
    """Show one frame (rows, columns, samples): its whole range, and its common values where that says more.

    Raises
    ------
    RefusedError
        pixels-unreadable, when there is no way to show it.
    """
    if form.samples == 1 and form.photometric != "PALETTE COLOR":
        return [_thrice(gray) for gray in _grays(frame[:, :, 0], inverted=form.photometric == "MONOCHROME1")]
    colours = _colours(frame, form, dataset)
    return [colours]


def close_pictures(frame: Stored, form: Form, dataset: Dataset) -> list[Picture]:
    """Show one frame as no display does, so that faint text stands out; stored values may be of any depth.

    In relief: every value against the mean and the spread of its neighbourhood, so that contrast is the same wherever it is. And
    coloured by evenness: text is drawn in one value, while noise and speckle change from pixel to pixel.

    Raises
    ------
    RefusedError
        pixels-unreadable, when there is no way to show it.
    """
    if form.samples == 1 and form.photometric != "PALETTE COLOR":
        shown = -frame.astype(np.float32) if form.photometric == "MONOCHROME1" else frame.astype(np.float32)
        shown = np.repeat(shown, 3, axis=2)
    else:
        shown = _colours(frame, form, dataset).astype(np.float32)
    return _closely(shown, frame)


def layer_closely(layer: Picture) -> list[Picture]:
    """Show frames that lie over each other in the same ways."""
    return _closely(layer.astype(np.float32), layer)


def _closely(shown: NDArray[np.float32], drawn: Stored) -> list[Picture]:
    if np.ptp(shown) == 0:
        return []
    relief, even = (
        _relief(shown - shown.min()),
        _evenness(drawn),
    )  # small numbers: squares of large ones lose their digits
    return [relief, np.dstack((even, even, relief.mean(axis=2).astype(np.uint8)))]


def _relief(shown: NDArray[np.float32]) -> Picture:
    mean = cv2.blur(shown, (NEIGHBOURHOOD, NEIGHBOURHOOD))
    spread = np.sqrt(np.maximum(cv2.blur(shown * shown, (NEIGHBOURHOOD, NEIGHBOURHOOD)) - mean * mean, 0))
    least = np.float32(np.ptp(shown)) * LEAST_SPREAD
    return np.clip(128 + SPREAD_GRAYS * (shown - mean) / (spread + least), 0, 255).astype(np.uint8)


def _evenness(frame: Stored) -> NDArray[np.uint8]:
    """Count the eight neighbours that are equal in every sample: five of them are white."""
    rows, columns = frame.shape[:2]
    padded = np.pad(frame.astype(np.int32), ((1, 1), (1, 1), (0, 0)), constant_values=NO_VALUE)
    equal = np.zeros((rows, columns), dtype=np.uint8)
    for down in range(3):
        for right in range(3):
            if (down, right) != (1, 1):
                equal += (padded[down : down + rows, right : right + columns] == frame).all(axis=2)
    return np.minimum(equal, 5) * np.uint8(51)


def black(form: Form, dataset: Dataset, values: Stored) -> tuple[int, ...]:
    """Choose what a box is filled with: what is darkest as displayed, in every sample.

    Monochrome: the image's own lowest (MONOCHROME1: highest) value, so that no window and no statistic moves.
    Colour: black. Palette: the darkest entry.
    """
    if form.photometric == "MONOCHROME1":
        return (int(values.max()),)
    if form.photometric == "PALETTE COLOR":
        return (_darkest_entry(form, dataset),)
    if form.samples == 1:
        return (int(values.min()),)
    middle = 1 << (form.stored - 1)
    return (0, middle, middle) if form.photometric.startswith("YBR_FULL") else (0, 0, 0)


def _darkest_entry(form: Form, dataset: Dataset) -> int:
    every = np.arange(1 << form.stored, dtype=np.uint8 if form.allocated <= 8 else np.uint16)
    try:
        shown = apply_color_lut(every[None], dataset)[0]
    except DAMAGE:
        raise RefusedError("pixels-unreadable") from None
    return int(shown[:, :3].astype(np.int64).sum(axis=1).argmin())


def _colours(frame: Stored, form: Form, dataset: Dataset) -> Picture:
    try:
        if form.photometric == "PALETTE COLOR":
            shown = apply_color_lut(frame[:, :, 0], dataset)[:, :, :3]
        elif form.photometric.startswith("YBR_FULL"):
            shown = convert_color_space(_bytes(frame), "YBR_FULL", "RGB")
        elif form.photometric == "RGB":
            shown = frame
        else:
            raise RefusedError("pixels-unreadable")
    except DAMAGE:
        raise RefusedError("pixels-unreadable") from None
    return _bytes(shown)


def _bytes(values: NDArray[np.integer]) -> Picture:
    if values.dtype.itemsize == 1:
        return values.astype(np.uint8)
    top = max(int(values.max()), 1)
    return (values.astype(np.float32) * np.float32(255 / top)).astype(np.uint8)


def _grays(values: NDArray[np.integer], *, inverted: bool) -> Iterator[NDArray[np.uint8]]:
    low, high = int(values.min()), int(values.max())
    if low == high:
        return
    yield _spread(values, low, high, inverted=inverted)
    common_low, common_high = (float(each) for each in np.percentile(values[::2, ::2], COMMON))
    if common_high > common_low and common_high - common_low < (high - low) / 2:
        yield _spread(values, common_low, common_high, inverted=inverted)


def _spread(values: NDArray[np.integer], low: float, high: float, *, inverted: bool) -> NDArray[np.uint8]:
    gray = np.clip((values.astype(np.float32) - low) * (255 / (high - low)), 0, 255).astype(np.uint8)
    shown: Picture = 255 - gray if inverted else gray
    return shown


def _thrice(gray: NDArray[np.uint8]) -> Picture:
    return np.repeat(gray[:, :, None], 3, axis=2)
