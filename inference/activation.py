"""Class-activation maps as the infer step keeps them. Pure."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.geometry import Geometry


@dataclass(frozen=True, slots=True)
class Activation:
    """Class-activation maps of one image, as the infer step stored them.

    Parameters
    ----------
    cams
        Raw logits per cell, float32 (label, row, column).
    labels
        The model's labels, in the order of `cams`.
    geometry
        Where the model's square lies on the original image.
    """

    cams: NDArray[np.float32]
    labels: tuple[str, ...]
    geometry: Geometry

    def probabilities(self, label: str) -> NDArray[np.float32]:
        """Probability per cell, (row, column) of the map; `ValueError` for a label that the model has not."""
        cells = self.cams[self.labels.index(label)]
        return np.asarray(0.5 * (1 + np.tanh(0.5 * cells)), np.float32)


def read_activation(data: bytes) -> Activation:
    """Unpack an activation file (`steps.infer.activation_file`); pickles are refused."""
    with np.load(io.BytesIO(data), allow_pickle=False) as stored:
        rows, columns, side, scale, left, top = (float(value) for value in stored["geometry"])
        geometry = Geometry(
            rows=int(rows), columns=int(columns), side=int(side), scale=scale, left=int(left), top=int(top)
        )
        return Activation(stored["cam"], tuple(str(label) for label in stored["labels"]), geometry)
