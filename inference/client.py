"""Talks to tritonserver over gRPC; with shared_memory.py, the only file that knows the client library."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tritonclient.grpc.aio as triton
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from inference.backend import (
    DEADLINE_S,
    Arrays,
    InferenceRejectedError,
    InferenceUnavailableError,
    Rows,
    batch_bytes,
    canary,
    check_batch,
)
from inference.breaker import BytesInFlight, Circuit
from inference.shared_memory import SharedInputs, remove_leftovers, shares_host
from inference.spec import PRIORITY_ROUTINE, ModelSpec

BYTES_IN_FLIGHT = 64 << 20
"""Bytes of tensors at the server at once: eight batches of sixteen slices of 512 × 512."""
AWAY = frozenset({"StatusCode.UNAVAILABLE", "StatusCode.DEADLINE_EXCEEDED"})
"""gRPC statuses that say nothing but that the server was not reached, or not in time."""
IN_FLIGHT = 16
"""Requests of this process at the server at once: enough to keep its batcher fed, few enough for its shared memory."""
CONTROL_DEADLINE_S = 30.0
"""For ready, load and unload: a load takes 1 to 2 s."""

WATCH_INTERVAL_S = 5.0
"""Between canaries, each of which costs one inference."""
INTERNAL = "StatusCode.INTERNAL"
"""What a request gets whose model process is dead."""

UNKNOWN_REGION = "StatusCode.NOT_FOUND"
"""What a server says that was started again, and knows neither region nor, for a moment, the model."""
REJECTED = frozenset({"StatusCode.INVALID_ARGUMENT", "StatusCode.OUT_OF_RANGE", "StatusCode.UNIMPLEMENTED"})
"""gRPC statuses that a second attempt cannot change. Everything else (an ill stub answers INTERNAL) is worth one."""


class TritonClient:
    """An :class:`inference.backend.InferenceBackend` with one channel to one server."""

    def __init__(
        self,
        address: str,
        *,
        in_flight: int = IN_FLIGHT,
        bytes_in_flight: int = BYTES_IN_FLIGHT,
        shared_memory: bool | None = None,
    ) -> None:
        """``address`` is host:port. Must be made inside the event loop that uses it.

        ``shared_memory``: whether inputs go through it; without a word, where the address is this machine's own.
        """
        self._client = triton.InferenceServerClient(address)
        self._slots = asyncio.Semaphore(in_flight)
        self._bytes = BytesInFlight(bytes_in_flight)
        self._circuit = Circuit()
        wanted = shares_host(address) if shared_memory is None else shared_memory
        self._shared = SharedInputs(self._client) if wanted else None
        if wanted:
            remove_leftovers()
        self._loads: Counter[str] = Counter()
        self._suspects: set[str] = set()
        self._suspicion = asyncio.Event()

    @property
    def name(self) -> str:
        """See the protocol."""
        return "triton"

    async def infer(
        self,
        model: ModelSpec,
        arrays: Mapping[str, Rows],
        priority: int = PRIORITY_ROUTINE,
        deadline_s: float = DEADLINE_S,
    ) -> Arrays:
        """See the protocol. The deadline runs from the call, waiting for a slot included."""
        check_batch(model, arrays)
        loop = asyncio.get_running_loop()
        if not self._circuit.allows(loop.time()):
            raise InferenceUnavailableError(f"{model.name} is not asked: the server was away a moment ago")
        self._circuit = self._circuit.tried(loop.time())
        load = self._loads[model.name]
        try:
            async with asyncio.timeout(deadline_s), self._slots, self._bytes.hold(batch_bytes(arrays)):
                answer = await self._ask(model, arrays, priority, deadline_s)
        except TimeoutError as error:
            self._circuit = self._circuit.failed(loop.time())
            raise InferenceUnavailableError(f"{model.name} did not answer in {deadline_s:g} s") from error
        except InferenceServerException as error:
            status = str(error.status())
            self._circuit = self._circuit.failed(loop.time()) if status in AWAY else self._circuit.succeeded()
            self._note(model.name, status, load)
            raise classified(model.name, status) from error
        self._circuit = self._circuit.succeeded()
        return {tensor.name: np.array(answer.as_numpy(tensor.name)) for tensor in model.outputs}

    async def _ask(
        self, model: ModelSpec, arrays: Mapping[str, Rows], priority: int, deadline_s: float
    ) -> triton.InferResult:
        """One request: through shared memory where that works, else sent."""
        lent = await self._shared.lend(arrays) if self._shared else None
        if lent is not None and self._shared is not None:
            region, inputs = lent
            try:
                return await self._request(model, inputs, priority, deadline_s)
            except InferenceServerException as error:
                if str(error.status()) != UNKNOWN_REGION:
                    raise
                self._shared.forget()
            finally:
                self._shared.give_back(region)
        inputs = [_input(name, np.asarray(rows)) for name, rows in arrays.items()]
        return await self._request(model, inputs, priority, deadline_s)

    async def _request(
        self, model: ModelSpec, inputs: list[triton.InferInput], priority: int, deadline_s: float
    ) -> triton.InferResult:
        return await self._client.infer(
            model.name,
            inputs,
            model_version=str(model.version),
            outputs=[triton.InferRequestedOutput(tensor.name) for tensor in model.outputs],
            priority=priority,
            client_timeout=deadline_s,
        )

    async def ready(self) -> bool:
        """See the protocol."""
        try:
            return bool(await self._client.is_server_ready(client_timeout=CONTROL_DEADLINE_S))
        except InferenceServerException:
            return False

    async def live(self) -> bool:
        """Whether the server runs at all; it is not ready while a model loads, or where one could not be loaded."""
        try:
            alive = bool(await self._client.is_server_live(client_timeout=CONTROL_DEADLINE_S))
            self._circuit = self._circuit.succeeded() if alive else self._circuit
            return alive
        except InferenceServerException:
            return False

    async def reload(self, model: ModelSpec) -> None:
        """Unload and load: what brings a dead stub back. Raises :class:`InferenceUnavailableError`.

        A load alone works only the first time. Processes of the ill model that still live stay, idle, until the
        server ends: it never finishes unloading a model with a dead process. That the unload may fail (another
        watch was faster) is no fault.
        """
        try:
            await self._client.unload_model(model.name, client_timeout=CONTROL_DEADLINE_S)
        except InferenceServerException:
            await asyncio.sleep(0)
        try:
            await self._client.load_model(model.name, client_timeout=CONTROL_DEADLINE_S)
        except InferenceServerException as error:
            raise InferenceUnavailableError(f"{model.name} could not be loaded again") from error
        self._loads[model.name] += 1
        self._circuit = self._circuit.succeeded()  # the server answered; what failed meanwhile met no model
        self._suspects.discard(model.name)

    def _note(self, model: str, status: str, load: int) -> None:
        """Remember a model that failed inside: one of its processes may be dead while its others answer canaries.

        A request that began before the last reload failed for what that reload has mended.
        """
        if status == INTERNAL and load == self._loads[model]:
            self._suspects.add(model)
            self._suspicion.set()

    def suspected(self, model: ModelSpec) -> bool:
        """Whether the model failed inside since this was last asked."""
        found = model.name in self._suspects
        self._suspects.discard(model.name)
        return found

    async def suspicion(self, timeout_s: float) -> None:
        """Wait until a model fails inside, or the time is over."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._suspicion.wait()
        except TimeoutError:
            return
        self._suspicion.clear()

    async def close(self) -> None:
        """See the protocol."""
        if self._shared:
            await self._shared.close()
        await self._client.close()


def classified(model: str, status: str) -> InferenceUnavailableError | InferenceRejectedError:
    """The decision that a gRPC status carries. The server's text is left out: it may quote the request."""
    if status in REJECTED:
        return InferenceRejectedError(f"{model} refused the request: {status}")
    return InferenceUnavailableError(f"{model} is not available: {status}")


def _input(name: str, array: NDArray[Any]) -> triton.InferInput:
    tensor = triton.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
    tensor.set_data_from_numpy(np.ascontiguousarray(array))
    return tensor


async def watch(
    client: TritonClient,
    models: Sequence[ModelSpec],
    report: Callable[[str, str], None],
    *,
    interval_s: float = WATCH_INTERVAL_S,
) -> None:
    """Reload a model whose canary fails, or that failed inside for somebody. Runs until cancelled.

    A dead model process fails its requests while the server still calls itself and the model ready, so only an
    inference tells; and with several processes per model a canary may meet a healthy one, so every caller's
    failure counts as well. ``report(model, event)`` hears ``ill``, ``healed`` and ``still-ill``; a model that was
    still ill is reported healed as soon as its canary lives. While the server itself is away, nothing is reloaded:
    its supervisor brings it back.
    """
    still_ill: set[str] = set()
    while True:
        for model in models:
            if not client.suspected(model) and await canary(client, model):
                if model.name in still_ill:
                    still_ill.discard(model.name)
                    report(model.name, "healed")
                continue
            if not await client.live():
                continue
            report(model.name, "ill")
            try:
                await client.reload(model)
                healthy = await canary(client, model)
            except InferenceUnavailableError:
                healthy = False
            (still_ill.discard if healthy else still_ill.add)(model.name)
            report(model.name, "healed" if healthy else "still-ill")
        await client.suspicion(interval_s)
