"""Write ``inference/chest_template.json``: the ranks of an average synthetic chest, which the input contract compares with.

python -m inference.training.template
"""

from __future__ import annotations

import json
import sys

import numpy as np
from numpy.typing import NDArray

from inference.chest import CELLS, TEMPLATE, ranks, shrunk
from inference.training.phantoms import generate
from inference.training.seeds import TRAINING

IMAGES = 160
"""Enough for the average of ranks to stand still in its second digit."""


def average(images: int) -> NDArray[np.float64]:
    """Mean ranks over the first training seeds, made even from left to right: the contract does not judge sides."""
    seeds = TRAINING[:images]
    total = sum(
        ranks(shrunk(generate(seed, rows=256, columns=224 if seed % 2 else 256).pixels)) for seed in seeds
    )
    mean = np.reshape(total, (CELLS, CELLS))
    even = mean + mean[:, ::-1]
    return np.asarray(even / np.linalg.norm(even))


def main() -> int:
    """Make the file."""
    cells = np.rint(average(IMAGES) * 10_000).astype(int)
    TEMPLATE.write_text(json.dumps({"images": IMAGES, "ranks": cells.tolist()}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
