"""Class-activation maps as the infer step keeps them, and the region that a finding covers on the original image. Pure."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inference.localisation import SHARE_OF_PEAK
from inference.pixels import Geometry


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


def region(activation: Activation, label: str) -> NDArray[np.bool_]:
    """Where on the original image a finding is, bool (row, column).

    The connected cells about the strongest one that reach `SHARE_OF_PEAK` of it, those that its box encloses, with their
    corners rounded off by the enlargement.
    """
    geometry = activation.geometry
    member = strongest_cells(activation.probabilities(label))
    grown = Image.fromarray(member.astype(np.float32)).resize(
        (geometry.side, geometry.side), Image.Resampling.BILINEAR
    )
    height, width = round(geometry.rows * geometry.scale), round(geometry.columns * geometry.scale)
    left, top = geometry.left, geometry.top
    on_image = grown.crop((left, top, left + width, top + height))
    full = on_image.resize((geometry.columns, geometry.rows), Image.Resampling.BILINEAR)
    return np.asarray(full) >= 0.5


def strongest_cells(cells: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Cells connected by their sides to the strongest one through cells of at least `SHARE_OF_PEAK` of it."""
    peak = np.unravel_index(int(cells.argmax()), cells.shape)
    allowed: NDArray[np.bool_] = cells >= SHARE_OF_PEAK * cells[peak]
    found: NDArray[np.bool_] = np.zeros(cells.shape, np.bool_)
    found[peak] = True
    while True:
        wider: NDArray[np.bool_] = np.pad(found, 1)
        wider = wider[1:-1, 1:-1] | wider[:-2, 1:-1] | wider[2:, 1:-1] | wider[1:-1, :-2] | wider[1:-1, 2:]
        wider &= allowed
        if np.array_equal(wider, found):
            return found
        found = wider
