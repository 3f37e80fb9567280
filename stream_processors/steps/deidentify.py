"""The border behind which no identity exists: raw files in, de-identified files and coded context out."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

from runtime.buckets import CLEAN
from runtime.errors import DeadLetterError
from runtime.ports import ObjectMissingError, Objects
from schemas.events import (
    InstanceDeidentified,
    InstanceReceived,
    QuarantinedInstance,
    ReceivedInstance,
    StudyInstance,
)
from schemas.identifiers import deterministic_uuid
from schemas.rows import QuarantinedObjectRow
from schemas.tables import day_of
from stream_processors.bounded import in_order
from stream_processors.deidentification import (
    DEFAULT,
    HEAD_BYTES,
    MoreNeededError,
    Plan,
    Profile,
    RefusedError,
    followed,
    plan,
    verify_header,
)
from stream_processors.deidentification.clean_pixels import MAX_FILE, policy_of
from stream_processors.deidentification.pixels_at_risk import withhold
from stream_processors.step import Output, Step, StepContext

Fetch = Callable[[int, int], bytes]
"""Gives the bytes of a raw file from a position on, so many; fewer only where it ends."""

AT_ONCE = 4
"""Files in work at once: a chunk has up to 256."""
SMALL = 32 * 1024 * 1024
"""bytes; a file up to this size is held in memory. Of a larger one the pixels are read twice, a piece at a time: its key
holds its digest, which has to be known before the store takes the first byte."""
PURPOSE = "de-identification"
"""What every read of the raw tier is audited with."""


async def run(received: InstanceReceived, context: StepContext) -> AsyncIterator[Output]:
    """De-identify a chunk; one file that is refused never fails the others."""

    def one(instance: ReceivedInstance) -> Awaitable[StudyInstance | QuarantinedInstance]:
        return _cleaned(received, instance, context)

    outcomes = await in_order(one, received.instances, AT_ONCE)
    yield InstanceDeidentified(
        envelope=context.envelope(received, "InstanceDeidentified", received.envelope.event_id),
        ordered_priority=received.ordered_priority,
        instances=tuple(each for each in outcomes if isinstance(each, StudyInstance)),
        quarantined=tuple(each for each in outcomes if isinstance(each, QuarantinedInstance)),
    )


async def _cleaned(
    received: InstanceReceived, instance: ReceivedInstance, context: StepContext
) -> StudyInstance | QuarantinedInstance:
    """Store one file's clean form, or record that it stays in the raw tier and why."""
    site = received.envelope.site
    options = context.settings.deidentification.get(site)
    profile = DEFAULT if options is None else Profile(options)

    def fetch(at: int, length: int) -> bytes:
        return context.raw.read_range(
            instance.bucket,
            instance.object_key,
            at,
            length,
            site=site,
            study=received.envelope.study,
            purpose=PURPOSE,
        )

    def store(made: Plan, head: bytes) -> StudyInstance:
        kept, digest, size = _measured(followed(made, fetch, head))
        described = _described(received, instance, made, digest, size)
        chunks = followed(made, fetch, head) if kept is None else iter([kept])
        _write(context.objects, described, chunks)
        return described

    try:
        head = await context.io(fetch, 0, HEAD_BYTES)
        made, head = await _planned(head, fetch, instance.size, context, site, profile)
        if made.pixels_at_risk and policy_of(profile) is not withhold:
            made, head = await _with_clean_pixels(head, fetch, instance.size, context, site, profile)
        await context.cpu(verify_header, made, profile)
        return await context.io(store, made, head)
    except (RefusedError, DeadLetterError) as refused:
        return await _quarantined(received, instance, refused.reason, context)
    except ObjectMissingError:
        return await _quarantined(received, instance, "raw-object-missing", context)


async def _planned(
    head: bytes, fetch: Fetch, size: int, context: StepContext, site: str, profile: Profile
) -> tuple[Plan, bytes]:
    """Decide from the head, pixels at risk withheld; read more of the file as long as the header goes on."""
    size = _size(head, size)
    while True:
        try:
            return await context.cpu(plan, head, size, context.pseudonyms(site), profile), head
        except MoreNeededError as needed:
            more = await context.io(fetch, len(head), min(max(needed.size, 2 * len(head)), size) - len(head))
            if not more:
                raise RefusedError("truncated") from None
            head += more


async def _with_clean_pixels(
    head: bytes, fetch: Fetch, size: int, context: StepContext, site: str, profile: Profile
) -> tuple[Plan, bytes]:
    """Decide again with the whole file, pixels cleaned: that takes seconds or minutes, in another process."""
    size = _size(head, size)
    if size > MAX_FILE:
        raise RefusedError("pixels-too-large")
    while len(head) < size:
        more = await context.io(fetch, len(head), size - len(head))
        if not more:
            raise RefusedError("truncated")
        head += more
    return await context.apart(plan, head, size, context.pseudonyms(site), profile, policy_of(profile)), head


def _size(head: bytes, told: int) -> int:
    """Give the bytes of the file: what the gateway counted, unless the head is all there is."""
    return len(head) if len(head) < HEAD_BYTES else max(told, len(head))


def _measured(chunks: Iterator[bytes | memoryview]) -> tuple[bytes | None, str, int]:
    """Give the whole, unless it is large; its digest and its size."""
    digest, kept, size = hashlib.sha256(), bytearray(), 0
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
        if size <= SMALL:
            kept += chunk
        else:
            kept.clear()
    return bytes(kept) if size <= SMALL else None, digest.hexdigest(), size


def _write(objects: Objects, described: StudyInstance, chunks: Iterator[bytes | memoryview]) -> None:
    writer = objects.open_write(described.bucket, described.object_key)
    try:
        for chunk in chunks:
            writer.write(chunk)
        writer.commit()
    except BaseException:
        writer.abort()
        raise


def _described(
    received: InstanceReceived, instance: ReceivedInstance, made: Plan, digest: str, size: int
) -> StudyInstance:
    envelope, coded = received.envelope, made.context
    return StudyInstance(
        series=instance.series,
        instance=instance.instance,
        bucket=CLEAN,
        object_key=f"{envelope.site}/{envelope.study}/{instance.series}/{instance.instance}/{digest}.dcm",
        size=size,
        digest=digest,
        sop_class_uid=coded.sop_class_uid,
        transfer_syntax_uid=coded.transfer_syntax_uid,
        modality=coded.modality,
        body_part=coded.body_part,
        view_position=coded.view_position,
        age_band=coded.age_band,
        patient_sex=coded.patient_sex,
        rows=coded.rows,
        columns=coded.columns,
        number_of_frames=coded.number_of_frames,
        photometric_interpretation=coded.photometric_interpretation,
        synthetic=coded.synthetic,
        pixels_at_risk=made.pixels_at_risk or "",
        boxes_blanked=made.report.blanked.boxes if made.report.blanked else 0,
        received_at=received.received_at,
    )


async def _quarantined(
    received: InstanceReceived, instance: ReceivedInstance, reason: str, context: StepContext
) -> QuarantinedInstance:
    """Record a refusal under a key that depends on the event alone, so that a repeat writes the same row."""
    envelope = received.envelope
    row = QuarantinedObjectRow(
        site=envelope.site,
        day=day_of(received.received_at),
        quarantined_at=received.received_at,
        object_id=deterministic_uuid("deidentify", instance.bucket, instance.object_key),
        component="deidentify",
        reason=reason,
        bucket=instance.bucket,
        object_key=instance.object_key,
        size=instance.size,
        study=envelope.study,
        instance=instance.instance,
    )
    await context.io(context.tables.write, row, at=received.received_at)
    return QuarantinedInstance(instance=instance.instance, raw_digest=instance.raw_digest, reason=reason)


STEP = Step(
    summary="Remove identity from each received file, or keep it in the encrypted tier with the reason.",
    reads=("instance.received.v1",),
    emits=("instance.deidentified.v1", "audit.v1"),
    run=run,
)
