"""PALETTE COLOR: stored values to red, green and blue by the image's own tables (PS3.3 §C.7.6.3.1.5)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.header import Attributes
from inference.spec import NotAcceptableError

COLOURS = ("Red", "Green", "Blue")
FULL = 1 << 16
"""Entries of a table whose descriptor says 0."""


def coloured(values: NDArray[np.integer[Any]], header: Attributes, *, big: bool = False) -> NDArray[np.uint8]:
    """Stored values (rows, columns) as (rows, columns, 3) of 8 bits.

    Values below a table's first take its first entry, those above its last the last. ``big`` says that the file's words have
    their greater byte first. Raises :class:`NotAcceptableError` (``colour image``) where a table is missing, is segmented
    (PS3.3 §C.7.9.2), or is not what its descriptor says.
    """
    planes = [table(header, colour, big=big) for colour in COLOURS]
    return np.stack(
        [lookup[np.clip(values.astype(np.int64) - first, 0, len(lookup) - 1)] for lookup, first in planes],
        axis=-1,
    )


def table(header: Attributes, colour: str, *, big: bool) -> tuple[NDArray[np.uint8], int]:
    """Entries of one colour's table in 8 bits, and the stored value of the first one (PS3.3 §C.7.6.3.1.5)."""
    descriptor = header.get(f"{colour}PaletteColorLookupTableDescriptor")
    data = header.get(f"{colour}PaletteColorLookupTableData")
    if not isinstance(data, bytes) or descriptor is None or len(descriptor) != 3:
        raise NotAcceptableError("colour image")
    entries, first, bits = (int(value) for value in descriptor)
    entries = entries % FULL or FULL
    if bits == 8 and len(data) in {entries, entries + entries % 2}:
        packed = np.frombuffer(data, np.uint8)
        return (packed.reshape(-1, 2)[:, ::-1].ravel() if big else packed)[:entries], first
    if bits not in {8, 16} or len(data) != 2 * entries:
        raise NotAcceptableError("colour image")
    words = np.frombuffer(data, ">u2" if big else "<u2")
    # Many a writer says 16 and fills the lower byte alone.
    return (words >> 8 if bits == 16 and int(words.max()) > 255 else words).astype(np.uint8), first
