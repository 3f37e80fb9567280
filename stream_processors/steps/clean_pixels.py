"""The same border for images that may have text in their pixels, where a site has them cleaned: a step of its own, since one
takes seconds or minutes and nothing may wait behind it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable

from schemas.events import (
    InstanceDeidentified,
    InstanceReceived,
    QuarantinedInstance,
    ReceivedInstance,
    StudyInstance,
)
from stream_processors.bounded import in_order
from stream_processors.deidentification import HEAD_BYTES, RefusedError, plan
from stream_processors.deidentification.clean_pixels import MAX_FILE, policy_of
from stream_processors.raw_files import Handled, RawFile, handled
from stream_processors.step import Output, Step, StepContext

AT_ONCE = 2
"""Files in work at once: each is in memory as a whole."""


async def run(received: InstanceReceived, context: StepContext) -> AsyncIterator[Output]:
    """Clean a chunk's pixels; one file that is refused never fails the others."""

    def one(instance: ReceivedInstance) -> Awaitable[Handled]:
        return handled(RawFile("clean_pixels", received, instance, context), _cleaned)

    outcomes = await in_order(one, received.instances, AT_ONCE)
    yield InstanceDeidentified(
        envelope=context.envelope(received, "InstanceDeidentified", received.envelope.event_id),
        ordered_priority=received.ordered_priority,
        instances=tuple(each for each in outcomes if isinstance(each, StudyInstance)),
        quarantined=tuple(each for each in outcomes if isinstance(each, QuarantinedInstance)),
    )


async def _cleaned(file: RawFile) -> Handled:
    """Decide with the whole file, pixels cleaned in another process, and store the clean form."""
    head = await file.context.io(file.fetch, 0, HEAD_BYTES)
    size = file.size(head)
    if size > MAX_FILE:
        raise RefusedError("pixels-too-large")
    while len(head) < size:
        head = await file.more(head, size)
    pseudonyms, policy = file.context.pseudonyms(file.received.envelope.site), policy_of(file.profile)
    made = await file.context.apart(plan, head, size, pseudonyms, file.profile, policy)
    return await file.stored(made, head)


STEP = Step(
    summary="Blank text in pixels at risk, where a site has them cleaned, or keep the file encrypted with the reason.",
    reads=("instance.uncleaned.v1",),
    emits=("instance.cleaned.v1", "audit.v1"),
    run=run,
)
