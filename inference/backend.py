"""What a step needs of whatever runs the models, and the two ways in which it fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from inference.golden import golden_image
from inference.spec import PRIORITY_ROUTINE, ModelSpec

Arrays = dict[str, NDArray[Any]]
"""Tensors by name, each with the batch axis first."""
Rows = NDArray[Any] | Sequence[NDArray[Any]]
"""One tensor of a batch: an array with the batch axis first, or its rows, which are then put together where they are needed."""

DEADLINE_S = 30.0
"""How long an inference may take, waiting in the server's queue included: far above any healthy time."""
CANARY_TOLERANCE = 1e-2
"""Largest difference of a canary's logits between machines: kernels differ in the fourth digit, faults in the first."""


class InferenceUnavailableError(Exception):
    """The server did not answer or is ill: the same request may succeed later. Retry."""


class InferenceRejectedError(Exception):
    """The server understood and refused: it will refuse again. Dead-letter."""


class InferenceBackend(Protocol):
    """Runs models. All methods may be called concurrently from one event loop."""

    @property
    def name(self) -> str:
        """``triton`` or ``onnxruntime-in-process``: what the summary of a run states."""
        ...

    async def infer(
        self,
        model: ModelSpec,
        arrays: Mapping[str, Rows],
        priority: int = PRIORITY_ROUTINE,
        deadline_s: float = DEADLINE_S,
    ) -> Arrays:
        """Outputs for a batch of 1 to ``model.max_batch_size``, row for row.

        Raises :class:`InferenceUnavailableError` or :class:`InferenceRejectedError`.
        """
        ...

    async def ready(self) -> bool:
        """Whether requests are accepted. Says nothing about the models' health: see :func:`canary`."""
        ...

    async def close(self) -> None:
        """Give back connections and sessions."""
        ...


def check_batch(model: ModelSpec, arrays: Mapping[str, Rows]) -> int:
    """Number of rows; :class:`InferenceRejectedError` unless names, types and shapes are the model's."""
    if set(arrays) != {tensor.name for tensor in model.inputs}:
        raise InferenceRejectedError(f"{model.name} has other inputs")
    rows = {len(array) for array in arrays.values()}
    if len(rows) != 1 or not 1 <= min(rows) <= model.max_batch_size:
        raise InferenceRejectedError(f"{model.name} takes batches of 1 to {model.max_batch_size}")
    for tensor in model.inputs:
        dtype = np.dtype(tensor.dtype)
        if any(row.dtype != dtype or row.shape != tensor.dims for row in arrays[tensor.name]):
            raise InferenceRejectedError(
                f"input {tensor.name} of {model.name} must be {tensor.dtype} {tensor.dims}"
            )
    return rows.pop()


def batch_bytes(arrays: Mapping[str, Rows]) -> int:
    """Bytes of all tensors of a batch."""
    return sum(row.nbytes for rows in arrays.values() for row in rows)


async def canary(backend: InferenceBackend, model: ModelSpec, deadline_s: float = 10.0) -> bool:
    """Whether the model gives its golden outputs for the golden image; False also when it cannot be reached."""
    channels, _, side = model.inputs[0].dims
    image = golden_image(side).repeat(channels, axis=0)[None].astype(model.inputs[0].dtype)
    try:
        outputs = await backend.infer(model, {model.inputs[0].name: image}, 1, deadline_s)
    except (InferenceUnavailableError, InferenceRejectedError):
        return False
    found = outputs[model.outputs[0].name][0]
    return bool(np.allclose(found, model.golden_logits, atol=CANARY_TOLERANCE))
