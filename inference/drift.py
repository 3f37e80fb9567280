"""Whether images have changed since a model was accepted: two-sided cumulative sums over statistics of its input. Pure.

A single image cannot show that a scanner's zero has moved by five Hounsfield units, or that a dose was lowered; fifty or three
hundred can. The reference is measured on images from the time of acceptance; what is monitored is per site and model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Statistics = Mapping[str, float]

TISSUE = (-100, 150)
"""Hounsfield units of soft tissue, whose median tells a moved zero: air and bone do not hold still from patient to patient."""
ALLOWANCE = 0.5
"""Deviations of the reference that are no drift: half of the smallest shift that is to be found quickly (Page 1954)."""
DECISION = 12.0
"""Accumulated deviations that are drift: at this allowance, chance alone needs some 10^6 normal images to get there."""
LARGEST_SUM = 2 * DECISION
"""A sum stops there: what is mended is no longer flagged some 25 images later, however long it lasted."""
LEARNED_FROM = 200
"""Images that make a reference: its means are then known to a fourteenth of a deviation."""
CLIPPED = 4.0
"""Deviations that one image counts at most: a foreign body is no drift."""


def image_statistics(tensor: NDArray[Any]) -> dict[str, float]:
    """Level, spread and noise of one model input (1, side, side).

    ``level`` is the median, of CT images (int16) of soft tissue alone. ``noise`` is the robust deviation of what is left after
    a second difference in both directions, which takes out everything smooth.
    """
    picture = tensor[0].astype(np.float32)
    if tensor.dtype == np.int16:
        tissue = picture[(picture > TISSUE[0]) & (picture < TISSUE[1])]
        level = float(np.median(tissue)) if tissue.size else float(np.median(picture))
        seen = (picture > TISSUE[0]) & (picture < TISSUE[1])
    else:
        level, seen = float(np.median(picture)), np.ones(picture.shape, dtype=np.bool_)
    rest = (
        picture[:-2, :-2] - 2 * picture[1:-1, :-2] + picture[2:, :-2]
        - 2 * (picture[:-2, 1:-1] - 2 * picture[1:-1, 1:-1] + picture[2:, 1:-1])
        + picture[:-2, 2:] - 2 * picture[1:-1, 2:] + picture[2:, 2:]
    )  # fmt: skip
    inner = rest[seen[1:-1, 1:-1]]
    noise = float(np.median(np.abs(inner))) / 0.6745 / 6 if inner.size else 0.0
    return {"level": level, "spread": float(picture.std()), "noise": noise}


@dataclass(frozen=True)
class Reference:
    """Mean and deviation of each statistic over images from the time of acceptance."""

    means: Mapping[str, float]
    deviations: Mapping[str, float]

    @classmethod
    def of(cls, images: Sequence[Statistics]) -> Reference:
        """Measure it; ``ValueError`` for fewer than 30 images, whose deviation would not be worth much."""
        if len(images) < 30:
            raise ValueError("a reference needs 30 images at least")
        names = images[0].keys()
        columns = {name: np.array([image[name] for image in images]) for name in names}
        return cls(
            {name: float(column.mean()) for name, column in columns.items()},
            {name: max(float(column.std(ddof=1)), 1e-6) for name, column in columns.items()},
        )


@dataclass(frozen=True)
class Drift:
    """The sums so far, upwards and downwards, per statistic; a new one follows from each image."""

    up: Mapping[str, float] = field(default_factory=dict)
    down: Mapping[str, float] = field(default_factory=dict)
    images: int = 0

    def after(self, image: Statistics, reference: Reference) -> Drift:
        """The sums with one more image."""
        up, down = {}, {}
        for name, mean in reference.means.items():
            off = float(np.clip((image[name] - mean) / reference.deviations[name], -CLIPPED, CLIPPED))
            up[name] = min(LARGEST_SUM, max(0.0, self.up.get(name, 0.0) + off - ALLOWANCE))
            down[name] = min(LARGEST_SUM, max(0.0, self.down.get(name, 0.0) - off - ALLOWANCE))
        return Drift(up, down, self.images + 1)

    def flagged(self) -> frozenset[str]:
        """Statistics that have drifted."""
        return frozenset(
            name for sums in (self.up, self.down) for name, value in sums.items() if value > DECISION
        )


@dataclass(frozen=True)
class Watch:
    """What is known of one site's images for one model: first a reference is learnt, then they are held to it."""

    reference: Reference | None = None
    learning: tuple[Statistics, ...] = ()
    drift: Drift = field(default_factory=Drift)

    def after(self, image: Statistics) -> Watch:
        """The watch with one more image."""
        if self.reference is not None:
            return Watch(self.reference, (), self.drift.after(image, self.reference))
        seen = (*self.learning, image)
        return Watch(Reference.of(seen)) if len(seen) >= LEARNED_FROM else Watch(None, seen)
