"""Inference for steps: one backend and one batcher per process, errors as decisions, a watch over the server."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import pkgutil
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import inference.models
from inference.backend import (
    InferenceBackend,
    InferenceRejectedError,
    InferenceUnavailableError,
    canary,
)
from inference.batching import Batcher, Measured
from inference.client import TritonClient, watch
from inference.in_process import InProcess
from inference.spec import ModelSpec
from runtime import logs
from runtime.errors import DeadLetterError, OutageError, RetryError
from runtime.metrics import Metrics, Name

MEASURED: dict[Measured, Name] = {
    "queue": "radstream_image_queue_seconds",
    "infer": "radstream_image_infer_seconds",
    "images": "radstream_infer_batch_images",
}
"""Metric of each thing that a batcher tells."""


@dataclass(frozen=True)
class ModelServer:
    """Runs models by name for a step's context."""

    backend: InferenceBackend
    batcher: Batcher
    specs: Mapping[str, ModelSpec]

    @property
    def name(self) -> str:
        """`triton` or `onnxruntime-in-process`."""
        return self.backend.name

    def announce(self, model: str, priority: int) -> AbstractContextManager[None]:
        """Say that an item for a model is being made ready."""
        spec = self.specs.get(model)
        return self.batcher.announced(spec, priority) if spec is not None else contextlib.nullcontext()

    async def infer(
        self, model: str, tensors: NDArray[Any], priority: int
    ) -> Mapping[str, NDArray[np.float32]]:
        """Run one item, batched with others'.

        Raises
        ------
        RetryError
            The server is ill, or too slow; OutageError when it accepts no requests at all.
        DeadLetterError
            `unknown-model`, or `refused-by-model`.
        """
        spec = self.specs.get(model)
        if spec is None:
            raise DeadLetterError("unknown-model")
        try:
            return await self.batcher.submit(spec, tensors, priority)
        except InferenceUnavailableError as error:
            away = RetryError if await self.backend.ready() else OutageError
            raise away("the model server does not answer") from error
        except InferenceRejectedError as error:
            raise DeadLetterError("refused-by-model") from error

    async def probe(self) -> None:
        """Raise RetryError unless every model answers its golden image as it should."""
        for spec in self.specs.values():
            if not await canary(self.backend, spec):
                raise RetryError("a model does not answer its canary")


@contextlib.asynccontextmanager
async def model_server(address: str, metrics: Metrics | None = None) -> AsyncIterator[ModelServer]:
    """Connect to Triton at `address` (host:port) and watch it, or run the models in this process when it is empty.

    `metrics` hear of every batch: how long its images waited, how many they were, how long the request took.
    """

    def observe(model: str, what: Measured, value: float) -> None:
        if metrics is not None:
            metrics.observe(MEASURED[what], value, model=model)

    specs = model_specs()
    client = TritonClient(address) if address else None
    backend: InferenceBackend = client or InProcess()
    log = logs.logger("model-server")
    watching = (
        asyncio.ensure_future(
            watch(
                client,
                list(specs.values()),
                report=lambda model, state: log.warning("model", model=model, state=state),
            )
        )
        if client
        else None
    )
    batcher = Batcher(backend, observe=observe)
    try:
        yield ModelServer(backend, batcher, specs)
    finally:
        if watching:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        await backend.close()


def model_specs() -> dict[str, ModelSpec]:
    """Specification of every file in `inference.models`."""
    names = [module.name for module in pkgutil.iter_modules(inference.models.__path__)]
    specs = [importlib.import_module(f"inference.models.{name}").SPEC for name in names]
    return {spec.name: spec for spec in specs}
