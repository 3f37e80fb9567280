"""Frames as a person would see them, in several ways: text that one of them hides stands out in another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut, convert_color_space

from stream_processors.deidentification.frames import DAMAGE, Form, Stored
from stream_processors.deidentification.refusal import RefusedError

Picture = NDArray[np.uint8]
"""(rows, columns, 3)."""

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
