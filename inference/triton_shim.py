"""Runs a model's ONNX file inside tritonserver's Python backend.

This file is copied into the model repository as ``model.py`` and executed by the server's stub process, in the
server's own environment (Python 3.11 or later). It therefore imports nothing of this project. The server's tensors
agree with numpy 2 only through DLPack and with numpy 1 only without it, so the way in and out is chosen by version.
"""

from __future__ import annotations

import json
import math
import os
import queue
import threading
import time
from pathlib import Path
from typing import Any

# Before it is imported: its own builds report models and machines to their maker, and look for them in threads of their own.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import onnxruntime
import triton_python_backend_utils as triton

THROUGH_DLPACK = int(np.__version__.split(".")[0]) >= 2

PIECES = (1, 2, 4, 8)
"""Rows that may be computed together. Which number costs least is a matter of the network and the processor's caches (of one
network eight cost 7 % less each than one, of another 8 % more, on one machine), so each process measures it when it starts."""
PIECE = 4
"""Where it is not measured: inputs of any size, and networks that take so long that it would delay the start."""
TRIAL_S = 0.5
"""Processor seconds for measuring."""
RUN_S = 0.0003
"""Seconds of a run that measuring alone does not show: while requests come and answers go, it waits for the interpreter."""


def to_array(tensor: Any) -> Any:
    """Contents of a server tensor."""
    return np.from_dlpack(tensor) if THROUGH_DLPACK else tensor.as_numpy()


def to_tensor(name: str, array: Any) -> Any:
    """A server tensor with these contents."""
    array = np.ascontiguousarray(array)
    return triton.Tensor.from_dlpack(name, array) if THROUGH_DLPACK else triton.Tensor(name, array)


class TritonPythonModel:
    """One instance of the model: one session, one thread."""

    def initialize(self, args: dict[str, str]) -> None:
        """Called once by the server, with the configuration as JSON."""
        config = json.loads(args["model_config"])
        self.input_names = [tensor["name"] for tensor in config["input"]]
        self.output_names = [tensor["name"] for tensor in config["output"]]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        weights = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        self.session = onnxruntime.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])
        self.piece = self._best_piece(config)
        self.free = threading.Semaphore()
        self.taken: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.answered: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.threads = [threading.Thread(target=work, daemon=True) for work in (self._compute, self._send)]
        for thread in self.threads:
            thread.start()

    def _best_piece(self, config: dict[str, Any]) -> int:
        """Rows per run at which one costs least processor time."""
        shapes = [[int(side) for side in tensor["dims"]] for tensor in config["input"]]
        pieces = [piece for piece in PIECES if piece <= config["max_batch_size"]]
        if not pieces or any(side < 1 for shape in shapes for side in shape):
            return PIECE
        types = [triton.triton_string_to_numpy(tensor["data_type"]) for tensor in config["input"]]

        def cost(rows: int) -> float:
            given = [np.zeros((rows, *shape), kind) for shape, kind in zip(shapes, types, strict=True)]
            began = time.thread_time()
            self.session.run(self.output_names, dict(zip(self.input_names, given, strict=True)))
            return (time.thread_time() - began + RUN_S) / rows

        if min(cost(1), cost(1)) * sum(pieces) > TRIAL_S:
            return PIECE
        costs = dict.fromkeys(pieces, math.inf)
        began = time.thread_time()
        while time.thread_time() - began < TRIAL_S:
            for piece in pieces:
                costs[piece] = min(costs[piece], cost(piece))
        return min(costs, key=lambda piece: costs[piece])

    def finalize(self) -> None:
        """Called once by the server, when no request is left."""
        self.taken.put(None)
        for thread in self.threads:
            thread.join()

    def execute(self, requests: list[Any]) -> list[Any] | None:
        """Take a batch of requests, each of which may hold several images, once the one before is computed.

        It is computed by another thread, so that the server hands over the next batch meanwhile: without that, each batch
        leaves a core idle for the milliseconds of the way here. A server that knows no answers from another thread gets
        them returned.
        """
        inputs = [self._inputs_of(request) for request in requests]
        try:
            senders = [request.get_response_sender() for request in requests]
        except triton.TritonModelException:
            return self._answers(inputs)
        self.free.acquire()
        self.taken.put((requests, inputs, senders))
        return None

    def _compute(self) -> None:
        """Compute what is taken, one batch after the other."""
        while (batch := self.taken.get()) is not None:
            requests, inputs, senders = batch
            answers = self._answers(inputs)
            self.free.release()
            self.answered.put((requests, inputs, senders, answers))
            del batch, requests, inputs, senders, answers
        self.answered.put(None)

    def _send(self) -> None:
        """Send what is computed. The requests are held until then, since the inputs lie in their memory.

        The server takes an answer in a millisecond or two, in which the next batch is computed.
        """
        while (batch := self.answered.get()) is not None:
            _, _, senders, answers = batch
            for sender, answer in zip(senders, answers, strict=True):
                try:
                    sender.send(answer, flags=triton.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
                except Exception as error:  # noqa: BLE001 - of one request that nobody waits for any more; the others go on
                    triton.Logger.log_warn(f"an answer was not taken: {type(error).__name__}")
            del batch, senders, answers, sender, answer

    def _answers(self, inputs: list[Any]) -> list[Any]:
        try:
            joined = [
                parts[0] if len(parts) == 1 else np.concatenate(parts) for parts in zip(*inputs, strict=True)
            ]
            outputs = self._run(joined)
        except Exception:  # noqa: BLE001 - of all requests; the culprit is found by running each alone
            return [self._alone(own) for own in inputs]
        responses, first = [], 0
        for own in inputs:
            last = first + len(own[0])
            responses.append(self._response([output[first:last] for output in outputs]))
            first = last
        return responses

    def _inputs_of(self, request: Any) -> list[Any]:
        return [to_array(triton.get_input_tensor_by_name(request, name)) for name in self.input_names]

    def _run(self, arrays: list[Any]) -> list[Any]:
        """Outputs of all rows, a few at a time."""
        rows = len(arrays[0])
        pieces = [
            self.session.run(
                self.output_names,
                {n: a[i : i + self.piece] for n, a in zip(self.input_names, arrays, strict=True)},
            )
            for i in range(0, rows, self.piece)
        ]
        if len(pieces) == 1:
            return list(pieces[0])
        return [np.concatenate(parts) for parts in zip(*pieces, strict=True)]

    def _alone(self, arrays: list[Any]) -> Any:
        try:
            return self._response(self._run(arrays))
        except Exception as error:  # noqa: BLE001 - the process boundary: the caller hears of it
            reason = "the model refused this input: " + type(error).__name__
            return triton.InferenceResponse([], triton.TritonError(reason, triton.TritonError.INVALID_ARG))

    def _response(self, outputs: list[Any]) -> Any:
        return triton.InferenceResponse(
            [to_tensor(n, v) for n, v in zip(self.output_names, outputs, strict=True)]
        )
