"""The border behind which no identity exists: raw files in, de-identified files and coded context out."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable

from runtime.buckets import CLEAN
from runtime.errors import DeadLetterError
from runtime.ports import ObjectMissingError
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
from stream_processors.deidentification import Deidentified, RefusedError, deidentify
from stream_processors.step import Output, Step, StepContext

AT_ONCE = 4
"""Files in memory at once: a chunk has up to 256 of up to tens of megabytes each, and a file is held twice while it changes."""
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
    envelope = received.envelope
    try:
        raw = await context.io(
            context.raw.read,
            instance.bucket,
            instance.object_key,
            site=envelope.site,
            study=envelope.study,
            purpose=PURPOSE,
        )
        clean = await context.cpu(deidentify, raw, context.pseudonyms(envelope.site))
    except (RefusedError, DeadLetterError) as refused:
        return await _quarantined(received, instance, refused.reason, context)
    except ObjectMissingError:
        return await _quarantined(received, instance, "raw-object-missing", context)
    described = _described(received, instance, clean)
    await context.io(context.objects.put, described.bucket, described.object_key, clean.data)
    return described


def _described(received: InstanceReceived, instance: ReceivedInstance, clean: Deidentified) -> StudyInstance:
    digest = hashlib.sha256(clean.data).hexdigest()
    envelope, coded = received.envelope, clean.context
    return StudyInstance(
        series=instance.series,
        instance=instance.instance,
        bucket=CLEAN,
        object_key=f"{envelope.site}/{envelope.study}/{instance.series}/{instance.instance}/{digest}.dcm",
        size=len(clean.data),
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
        pixels_at_risk=clean.pixels_at_risk or "",
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
