"""The border behind which no identity exists: raw files in, de-identified files and coded context out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from dataclasses import replace

from schemas.events import (
    InstanceDeidentified,
    InstanceReceived,
    QuarantinedInstance,
    ReceivedInstance,
    StudyInstance,
)
from stream_processors.bounded import in_order
from stream_processors.deidentification import HEAD_BYTES, MoreNeededError, Plan, plan
from stream_processors.raw_files import Handled, RawFile, handled
from stream_processors.step import Output, Step, StepContext

AT_ONCE = 4
"""Files in work at once: a chunk has up to 256."""


async def run(received: InstanceReceived, context: StepContext) -> AsyncIterator[Output]:
    """De-identify a chunk; a file that is refused never fails the others, and one that takes minutes is left to another step."""

    def one(instance: ReceivedInstance) -> Awaitable[Handled]:
        return handled(RawFile("deidentify", received, instance, context), _deidentified)

    outcomes = await in_order(one, received.instances, AT_ONCE)
    uncleaned = tuple(each for each in outcomes if isinstance(each, ReceivedInstance))
    if len(uncleaned) < len(outcomes):
        yield InstanceDeidentified(
            envelope=context.envelope(received, "InstanceDeidentified", received.envelope.event_id),
            ordered_priority=received.ordered_priority,
            instances=tuple(each for each in outcomes if isinstance(each, StudyInstance)),
            quarantined=tuple(each for each in outcomes if isinstance(each, QuarantinedInstance)),
        )
    if uncleaned:
        envelope = context.envelope(received, "InstanceReceived", received.envelope.event_id)
        yield replace(received, envelope=envelope, instances=uncleaned)


async def _deidentified(file: RawFile) -> Handled:
    """Store the clean form; hand on a file whose pixels the site has cleaned."""
    made, head = await _planned(file, await file.context.io(file.fetch, 0, HEAD_BYTES))
    if made.pixels_at_risk and file.cleans_pixels:
        return file.instance
    return await file.stored(made, head)


async def _planned(file: RawFile, head: bytes) -> tuple[Plan, bytes]:
    """Decide from the head, pixels at risk withheld; read more of the file as long as the header goes on."""
    size, pseudonyms = file.size(head), file.context.pseudonyms(file.received.envelope.site)
    while True:
        try:
            return await file.context.cpu(plan, head, size, pseudonyms, file.profile), head
        except MoreNeededError as needed:
            head = await file.more(head, min(max(needed.size, 2 * len(head)), size))


STEP = Step(
    summary="Remove identity from each received file, or keep it in the encrypted tier with the reason.",
    reads=("instance.received.v1",),
    emits=("instance.deidentified.v1", "instance.uncleaned.v1", "audit.v1"),
    run=run,
)
