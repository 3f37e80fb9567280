from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import numpy as np
import pytest

from inference.backend import Arrays, InferenceRejectedError, InferenceUnavailableError, Rows
from inference.batching import Batcher
from inference.golden import golden_image
from inference.models.cxr_demo import SPEC
from inference.spec import ModelSpec
from runtime.errors import DeadLetterError, OutageError, RetryError
from runtime.metrics import Metrics
from stream_processors.model_server import ModelServer, model_server, model_specs

IMAGE = golden_image(SPEC.inputs[0].dims[-1]).astype(SPEC.inputs[0].dtype)


class Failing:
    """A backend that fails in one way."""

    name = "failing"

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def infer(
        self,
        model: ModelSpec,
        arrays: Mapping[str, Rows],
        priority: int = 2,
        deadline_s: float = 1.0,
    ) -> Arrays:
        raise self.error

    async def ready(self) -> bool:
        return False

    async def close(self) -> None:
        return


@asynccontextmanager
async def failing(error: Exception) -> AsyncIterator[ModelServer]:
    backend = Failing(error)
    yield ModelServer(backend, Batcher(backend), {SPEC.name: SPEC})


async def test_without_a_server_the_models_run_in_the_process_and_say_so() -> None:
    async with model_server("") as server:
        assert server.name == "onnxruntime-in-process"
        outputs = await server.infer(SPEC.name, IMAGE, 1)
        assert np.allclose(outputs[SPEC.outputs[0].name], SPEC.golden_logits, atol=1e-2)
        await server.probe()


@pytest.mark.parametrize(
    ("error", "decision"),
    [(InferenceUnavailableError("away"), OutageError), (InferenceRejectedError("no"), DeadLetterError)],
)
async def test_a_servers_failures_become_decisions(error: Exception, decision: type[Exception]) -> None:
    async with failing(error) as server:
        with pytest.raises(decision):
            await server.infer(SPEC.name, IMAGE, 2)
        with pytest.raises(RetryError):
            await server.probe()


async def test_a_model_nobody_knows_is_no_reason_to_try_again() -> None:
    async with model_server("") as server:
        with pytest.raises(DeadLetterError, match="unknown-model"):
            await server.infer("no such model", IMAGE, 1)


def test_every_file_of_models_is_served() -> None:
    assert model_specs()["cxr_demo"] is SPEC


async def test_batches_are_told_to_the_metrics() -> None:
    metrics = Metrics("infer")
    async with model_server("", metrics) as server:
        await asyncio.gather(*(server.infer(SPEC.name, IMAGE, 2) for _ in range(3)))

    told = metrics.exposition().decode()
    label = f'{{component="infer",model="{SPEC.name}",site=""}}'
    assert f"radstream_image_queue_seconds_count{label} 3.0" in told
    assert f"radstream_infer_batch_images_sum{label} 3.0" in told
    batches = re.search(rf"radstream_image_infer_seconds_count{re.escape(label)} (\d)", told)
    assert batches
    assert 1 <= int(batches[1]) <= 3
