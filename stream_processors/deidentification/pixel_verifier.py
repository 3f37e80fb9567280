"""A second look at cleaned pixels: source and output are decoded again and held against each other.

It shares no array with the cleaning and knows only what was promised: boxes, and the value that fills them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

from stream_processors.deidentification.frames import DAMAGE, NATIVE, Form
from stream_processors.deidentification.refusal import RefusedError
from stream_processors.deidentification.regions import Box


def verify_pixels(
    source: tuple[bytes, Form], output: tuple[bytes, Form], boxes: tuple[Box, ...], fill: tuple[int, ...]
) -> None:
    """Hold every frame of the output against its source: boxes are filled, and all else is identical.

    Raises
    ------
    RefusedError
        verification-failed, and no more.
    """
    before, after = source[1], output[1]
    kept = np.ones((after.rows, after.columns), dtype=bool)
    for left, top, right, bottom in boxes:
        kept[top:bottom, left:right] = False
    used = _used_bits(before)
    compared = 0
    try:
        for old, new in zip(_frames(*source), _frames(*output), strict=True):
            filled = np.asarray(fill, dtype=new.dtype)
            if not np.array_equal(old[kept] & used, new[kept] & used) or (new[~kept] != filled).any():
                raise RefusedError("verification-failed")
            compared += 1
    except DAMAGE:
        raise RefusedError("verification-failed") from None
    if compared != before.frames or compared != after.frames or before.stored != after.stored:
        raise RefusedError("verification-failed")


def _used_bits(form: Form) -> int:
    """Mask the stored bits: overlays that lie above them are taken out, and are no difference."""
    return (1 << form.stored) - 1 if form.stored < form.allocated else -1


def _frames(value: bytes, form: Form) -> Iterator[NDArray[np.integer[Any]]]:
    options = form.options()
    if form.syntax in NATIVE:
        options["pixel_vr"] = form.vr if form.vr in ("OB", "OW") else "OW"
    array, _ = get_decoder(UID(form.syntax)).as_array(value, raw=True, **options)
    for frame in array.reshape(-1, form.rows, form.columns, form.samples):
        yield frame.astype(np.int32)
