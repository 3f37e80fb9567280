"""What a step is: a plain async generator that knows no engine, and what it may ask for while it runs.

Rules every step keeps:

1. The same input gives the same outputs with the same event ids, whatever was done before: it is delivered at least once.
2. A decision that depends on time or on what came before is made once, by compare-and-set, and read from then on.
3. Effects (tables, objects) happen before the outputs are yielded; outputs are confirmed before the input is acknowledged.
4. What can never succeed raises DeadLetterError with a reason class; what may succeed later raises RetryError.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, ParamSpec, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from runtime.clock import Clock
from runtime.ports import Objects, Tables
from schemas.events import Envelope, Event
from schemas.identifiers import Pseudonyms

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """An output: call the step again with `DeadlineReached` at a time. The same (site, study, name, due_at) is one deadline."""

    site: str
    study: str
    name: str
    due_at: int
    """UTC microseconds."""
    payload: str = ""
    """JSON for the step: small, no identity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlineReached:
    """An input: a deadline is due. It is acknowledged, by deletion, like any other input."""

    site: str
    study: str
    name: str
    due_at: int
    payload: str = ""


@dataclass(frozen=True, slots=True)
class To:
    """An output to one topic of several that carry the same event."""

    topic: str
    event: Event


GIVEN_UP = "given-up"
"""Reason class of what a step says of an input that went to the dead letters: nothing is known of it."""

Output = Event | To | Deadline
"""What a step may yield. An event without a topic goes to the one topic in `emits` that carries it."""


class RawTier(Protocol):
    """The encrypted objects behind the gateways. Every read names a purpose and is audited by the context."""

    def read(self, bucket: str, object_key: str, *, site: str, study: str, purpose: str) -> bytes:
        """Read and decrypt an object of the raw or quarantine bucket; blocking."""
        ...

    def read_range(
        self, bucket: str, key: str, start: int, length: int, *, site: str, study: str, purpose: str
    ) -> bytes:
        """Read and decrypt up to `length` bytes from `start`; blocking."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSettings:
    """What an operator may set for the steps."""

    quiet_window_s: float = 10.0
    """Seconds without a new image after which a study counts as complete."""
    model_deadline_s: float = 30.0
    """Seconds a model may take to answer before the attempt counts as failed."""
    deidentification: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Options of a site's de-identification profile (DCM codes); a site that is not named has the default's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageMeasures:
    """What an image's way through a model told of itself, for metrics and monitoring only."""

    model: str
    digest: str
    """Of the model's weights."""
    decode_s: float
    tensor_s: float
    after_s: float
    statistics: Mapping[str, float] | None
    """Of the model's input, where the image is one of those that are watched for drift."""


class StepContext(Protocol):
    """What a step may ask for. Blocking calls (tables, objects, raw) go through `io`, heavy ones through `cpu`."""

    clock: Clock
    tables: Tables
    objects: Objects
    raw: RawTier
    settings: StepSettings
    inference_backend: str
    """`triton`, `onnxruntime-in-process`, or empty in steps that infer nothing."""

    def pseudonyms(self, site: str) -> Pseudonyms:
        """Keyed pseudonyms of a site."""
        ...

    def envelope(
        self, cause: Event | DeadlineReached, *identity: str, occurred_at: int | None = None
    ) -> Envelope:
        """Envelope of an output caused by `cause`.

        The event id is a function of the component, the site, the study and `identity`: name there what makes this output
        different from every other of this step (event name, revision, ...) and nothing that changes on redelivery.
        """
        ...

    async def io(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking call of a port in a thread."""
        ...

    async def cpu(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a computation off the event loop."""
        ...

    async def apart(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a call that waits minutes for a process of its own, as many at once as there are cores.

        Neither `io` nor `cpu` is held up by it, nor the end of this process.
        """
        ...

    def announce(self, model: str, *, priority: int) -> AbstractContextManager[None]:
        """Say that an item is being made ready for `infer`, called right after the block: others may wait for its company."""
        ...

    async def infer(
        self, model: str, tensors: NDArray[Any], *, priority: int
    ) -> Mapping[str, NDArray[np.float32]]:
        """Run one item through a model, batched with other callers' items.

        Parameters
        ----------
        model
            Model name.
        tensors
            One item in the model's input form, without the batch axis.
        priority
            1 is highest, 2 ordinary (Triton's priority levels).

        Returns
        -------
        Mapping
            Output arrays by name, without the batch axis.

        Raises
        ------
        RetryError
            The server does not answer now.
        DeadLetterError
            The model refuses this item.
        """
        ...

    async def measured(self, site: str, measures: ImageMeasures) -> None:
        """Tell metrics and monitoring of an image; never fails an input."""
        ...


@dataclass(frozen=True, slots=True)
class Step:
    """A step's declaration: `STEP` in its file.

    Parameters
    ----------
    summary
        One sentence for documentation and `--list`.
    reads
        Topics it consumes.
    emits
        Topics it writes.
    run
        Async generator over one input (an event of `reads`, or `DeadlineReached` if it sets deadlines).
    uses_inference
        Whether the context must offer `infer`.
    sets_deadlines
        Whether it ever yields a `Deadline`: nobody looks for those of others.
    give_up
        Called with an input that goes to the dead letters, the reason class and the context; what it returns is published
        with the dead letter, so that nobody waits for ever. It only makes envelopes; whatever it raises stops the process.
    """

    summary: str
    reads: tuple[str, ...]
    emits: tuple[str, ...]
    run: Callable[[Any, StepContext], AsyncIterator[Output]]
    uses_inference: bool = False
    sets_deadlines: bool = False
    give_up: Callable[[Any, str, StepContext], Sequence[Event | To]] | None = None
