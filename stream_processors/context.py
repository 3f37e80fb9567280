"""What steps are given while they run: the ports through thread pools, envelopes, audited reads, inference."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, ParamSpec, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from runtime.audit import AUDIT_TOPIC, audit_event
from runtime.clock import Clock
from runtime.connections import Connections
from runtime.errors import StopError
from runtime.ports import Objects, Tables
from schemas.events import Envelope, Event
from schemas.identifiers import Pseudonyms, deterministic_uuid
from stream_processors.input_drift import InputDrift
from stream_processors.inputs import Origin
from stream_processors.step import DeadlineReached, ImageMeasures, RawTier, StepSettings

P = ParamSpec("P")
T = TypeVar("T")

IO_THREADS = 16
"""Blocking calls at once: they wait for an engine most of the time."""


class Inference(Protocol):
    """What runs models."""

    @property
    def name(self) -> str:
        """`triton` or `onnxruntime-in-process`."""
        ...

    def announce(self, model: str, priority: int) -> AbstractContextManager[None]:
        """Say that an item is being made ready."""
        ...

    async def infer(
        self, model: str, tensors: NDArray[Any], priority: int
    ) -> Mapping[str, NDArray[np.float32]]:
        """Run one item; RetryError or DeadLetterError."""
        ...

    async def probe(self) -> None:
        """Raise RetryError while models do not answer."""
        ...


@dataclass(frozen=True)
class Workbench:
    """What all contexts of a process share. `close` when the last input is resolved."""

    connections: Connections
    settings: StepSettings
    inference: Inference | None
    io: ThreadPoolExecutor
    cpu: ThreadPoolExecutor
    apart: asyncio.Semaphore
    drift: InputDrift

    def context_for(self, origin: Origin) -> Context:
        """Context of one input."""
        return Context(self, origin)

    def close(self) -> None:
        """Let the threads go; calls under way end by themselves."""
        self.io.shutdown(wait=False, cancel_futures=True)
        self.cpu.shutdown(wait=False, cancel_futures=True)


def workbench(connections: Connections, inference: Inference | None = None) -> Workbench:
    """Set up what contexts share."""
    steps = connections.settings.steps
    return Workbench(
        connections=connections,
        settings=StepSettings(
            quiet_window_s=steps.quiet_window_s,
            model_deadline_s=steps.model_deadline_s,
            deidentification={
                site.name: frozenset(site.deidentification)
                for site in connections.settings.sites
                if site.deidentification is not None
            },
        ),
        inference=inference,
        io=ThreadPoolExecutor(IO_THREADS, thread_name_prefix="io"),
        cpu=ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="cpu"),
        apart=asyncio.Semaphore(os.cpu_count() or 1),
        drift=InputDrift(connections.objects, connections.metrics, connections.auditor.component_used),
    )


class Context:
    """The `StepContext` of one input (see there for what each method promises)."""

    def __init__(self, bench: Workbench, origin: Origin) -> None:
        self._bench = bench
        self._origin = origin
        self._opened: dict[tuple[str, str], set[str]] = {}
        self._lock = threading.Lock()
        connections = bench.connections
        self.clock: Clock = connections.clock
        self.tables: Tables = connections.tables
        self.objects: Objects = connections.objects
        self.raw: RawTier = connections.sealed.audited_by(self._note)
        self.settings = bench.settings
        self.inference_backend = bench.inference.name if bench.inference else ""

    def pseudonyms(self, site: str) -> Pseudonyms:
        """Keyed pseudonyms of a site."""
        return self._bench.connections.pseudonyms(site)

    def envelope(
        self, cause: Event | DeadlineReached, *identity: str, occurred_at: int | None = None
    ) -> Envelope:
        """Envelope of an output; its id depends on component, site, study and `identity` alone."""
        connections = self._bench.connections
        source = cause if isinstance(cause, DeadlineReached) else cause.envelope
        return connections.publisher.envelope(
            source.site,
            source.study,
            deterministic_uuid(connections.component, source.site, source.study, *identity),
            correlation_id=self._origin.correlation_id,
            causation_id=self._origin.causation_id,
            occurred_at=occurred_at,
            hops=self._origin.hops,
        )

    async def io(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking call in a thread."""
        return await _in(self._bench.io, call, *args, **kwargs)

    async def cpu(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a computation in a thread: numpy, hashing and compression let others run meanwhile."""
        return await _in(self._bench.cpu, call, *args, **kwargs)

    async def apart(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Wait in a thread that nobody joins: a process that ends does not wait for what may take minutes."""
        async with self._bench.apart:
            future: Future[T] = Future()

            def run() -> None:
                try:
                    future.set_result(call(*args, **kwargs))
                except BaseException as error:  # noqa: BLE001 - handed to whoever awaits, as a pool does
                    future.set_exception(error)

            threading.Thread(target=run, name="apart", daemon=True).start()
            return await asyncio.wrap_future(future)

    def announce(self, model: str, *, priority: int) -> AbstractContextManager[None]:
        """Say that an item for a model is being made ready."""
        if self._bench.inference is None:
            raise StopError("the step infers but does not declare it")
        return self._bench.inference.announce(model, priority)

    async def infer(
        self, model: str, tensors: NDArray[Any], *, priority: int
    ) -> Mapping[str, NDArray[np.float32]]:
        """Run one item through a model."""
        if self._bench.inference is None:
            raise StopError("the step infers but does not declare it")
        started = self.clock.monotonic()
        outputs = await self._bench.inference.infer(model, tensors, priority)
        seconds = self.clock.monotonic() - started
        self._bench.connections.metrics.observe("radstream_inference_seconds", seconds)
        return outputs

    async def measured(self, site: str, measures: ImageMeasures) -> None:
        """Tell metrics and monitoring of an image."""
        observe, model = self._bench.connections.metrics.observe, measures.model
        observe("radstream_image_decode_seconds", measures.decode_s, site=site, model=model)
        observe("radstream_image_tensor_seconds", measures.tensor_s, site=site, model=model)
        observe("radstream_image_after_seconds", measures.after_s, site=site, model=model)
        if measures.statistics is not None:
            await self._bench.drift.seen(site, model, measures.digest, measures.statistics, self.io)

    def audits(self, cause: Event | DeadlineReached) -> list[tuple[str, Event]]:
        """One audit event per action and purpose; the same input gives the same ids."""
        component = self._bench.connections.component
        return [
            (
                AUDIT_TOPIC,
                audit_event(
                    self.envelope(cause, "AuditEvent", action, purpose, self._origin.causation_id),
                    sorted(subjects),
                    action,
                    purpose,
                    actor=component,
                ),
            )
            for (action, purpose), subjects in sorted(self._opened.items())
        ]

    def _note(self, _site: str, subjects: Sequence[str], action: str, purpose: str) -> None:
        """Note what is about to be opened; the binder publishes it with the input's outputs."""
        with self._lock:
            self._opened.setdefault((action, purpose), set()).update(subjects)


async def _in(pool: ThreadPoolExecutor, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    return await asyncio.get_running_loop().run_in_executor(pool, partial(call, *args, **kwargs))
