"""A fixed input whose outputs every copy of a model must give: what the canary asks a server."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

GOLDEN_SEED = 12345


def golden_image(side: int) -> NDArray[np.uint16]:
    """A patchwork of grey with texture, uint16 of shape (1, side, side), from integer arithmetic alone."""
    row, column = np.indices((side, side), dtype=np.int64)
    ramp = (row * 131 + column * 57) % 4096
    patch = ((row // 16) * 7919 + (column // 16) * 104_729 + GOLDEN_SEED) % 8192
    return ((ramp * 3 + patch * 5) % 65536).astype(np.uint16)[None]
