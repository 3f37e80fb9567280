"""Runs models with ONNX Runtime inside this process: for machines without a Triton binary."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import numpy as np
import onnxruntime

from inference.backend import (
    DEADLINE_S,
    Arrays,
    InferenceRejectedError,
    InferenceUnavailableError,
    Rows,
    check_batch,
)
from inference.spec import PRIORITY_ROUTINE, ModelSpec


class InProcess:
    """An :class:`inference.backend.InferenceBackend` without a server. One batch at a time; priorities are the batcher's."""

    def __init__(self) -> None:
        self._sessions: dict[str, onnxruntime.InferenceSession] = {}
        self._lock = asyncio.Lock()

    @property
    def name(self) -> str:
        """See the protocol."""
        return "onnxruntime-in-process"

    async def infer(
        self,
        model: ModelSpec,
        arrays: Mapping[str, Rows],
        priority: int = PRIORITY_ROUTINE,  # noqa: ARG002 - of the protocol; the batcher has put urgent ones first
        deadline_s: float = DEADLINE_S,
    ) -> Arrays:
        """See the protocol."""
        check_batch(model, arrays)
        try:
            async with asyncio.timeout(deadline_s), self._lock:
                return await asyncio.to_thread(self._run, model, arrays)
        except TimeoutError as error:
            raise InferenceUnavailableError(f"{model.name} did not answer in {deadline_s:g} s") from error

    def _run(self, model: ModelSpec, arrays: Mapping[str, Rows]) -> Arrays:
        session = self._session(model)
        names = [tensor.name for tensor in model.outputs]
        try:
            outputs = session.run(names, {name: np.asarray(rows) for name, rows in arrays.items()})
        except RuntimeError as error:
            raise InferenceRejectedError(f"{model.name} refused the request") from error
        return {name: np.asarray(value) for name, value in zip(names, outputs, strict=True)}

    def _session(self, model: ModelSpec) -> onnxruntime.InferenceSession:
        """The model's session, made at its first use. Called under the lock."""
        if model.digest not in self._sessions:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
            self._sessions[model.digest] = onnxruntime.InferenceSession(
                model.weights(), options, providers=["CPUExecutionProvider"]
            )
        return self._sessions[model.digest]

    async def ready(self) -> bool:
        """See the protocol."""
        return True

    async def close(self) -> None:
        """See the protocol."""
        self._sessions.clear()
