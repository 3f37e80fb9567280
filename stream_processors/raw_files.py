"""One raw file and its clean form: read in ranges, stored whole or not at all, or recorded as refused."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from runtime.buckets import CLEAN
from runtime.errors import DeadLetterError
from runtime.ports import ObjectMissingError, Objects
from schemas.events import InstanceReceived, QuarantinedInstance, ReceivedInstance, StudyInstance
from schemas.identifiers import deterministic_uuid
from schemas.rows import QuarantinedObjectRow
from schemas.tables import day_of
from stream_processors.deidentification import (
    DEFAULT,
    HEAD_BYTES,
    Plan,
    Profile,
    RefusedError,
    followed,
    verify_header,
)
from stream_processors.deidentification.clean_pixels import policy_of
from stream_processors.deidentification.pixels_at_risk import withhold
from stream_processors.step import StepContext

SMALL = 32 * 1024 * 1024
"""bytes; a file up to this size is held in memory. Of a larger one the pixels are read twice, a piece at a time: its key
holds its digest, which has to be known before the store takes the first byte."""
PURPOSE = "de-identification"
"""What every read of the raw tier is audited with."""


@dataclass(frozen=True)
class RawFile:
    """A received file, as a step works on it.

    Parameters
    ----------
    component
        The step's name.
    """

    component: str
    received: InstanceReceived
    instance: ReceivedInstance
    context: StepContext

    @property
    def profile(self) -> Profile:
        """The site's profile of de-identification."""
        options = self.context.settings.deidentification.get(self.received.envelope.site)
        return DEFAULT if options is None else Profile(options)

    @property
    def cleans_pixels(self) -> bool:
        """Whether the site has pixels at risk cleaned rather than withheld."""
        return policy_of(self.profile) is not withhold

    def fetch(self, at: int, length: int) -> bytes:
        """Read bytes from a position on, so many; fewer only where the file ends. Blocking."""
        envelope = self.received.envelope
        return self.context.raw.read_range(
            self.instance.bucket,
            self.instance.object_key,
            at,
            length,
            site=envelope.site,
            study=envelope.study,
            purpose=PURPOSE,
        )

    async def more(self, head: bytes, size: int) -> bytes:
        """Read on, up to a size.

        Raises
        ------
        RefusedError
            truncated, when the file ends at `head`.
        """
        found = await self.context.io(self.fetch, len(head), size - len(head))
        if not found:
            raise RefusedError("truncated")
        return head + found

    def size(self, head: bytes) -> int:
        """Give the bytes of the file: what the gateway counted, unless the head is all there is."""
        return len(head) if len(head) < HEAD_BYTES else max(self.instance.size, len(head))

    async def stored(self, made: Plan, head: bytes) -> StudyInstance:
        """Verify the header, and store the clean form."""
        await self.context.cpu(verify_header, made, self.profile)
        return await self.context.io(self._store, made, head)

    def _store(self, made: Plan, head: bytes) -> StudyInstance:
        kept, digest, size = _measured(followed(made, self.fetch, head))
        described = _described(self.received, self.instance, made, digest, size)
        chunks = followed(made, self.fetch, head) if kept is None else iter([kept])
        _write(self.context.objects, described, chunks)
        return described


Handled = StudyInstance | QuarantinedInstance | ReceivedInstance
"""What becomes of a file: its clean form, a refusal, or itself where another step goes on with it."""


async def handled(file: RawFile, work: Callable[[RawFile], Awaitable[Handled]]) -> Handled:
    """Do a step's work on a file; what is refused is recorded, and stays where it is."""
    try:
        return await work(file)
    except (RefusedError, DeadLetterError) as refused:
        return await _quarantined(file, refused.reason)
    except ObjectMissingError:
        return await _quarantined(file, "raw-object-missing")


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


async def _quarantined(file: RawFile, reason: str) -> QuarantinedInstance:
    """Record a refusal under a key that depends on the event alone, so that a repeat writes the same row."""
    received, instance, envelope = file.received, file.instance, file.received.envelope
    row = QuarantinedObjectRow(
        site=envelope.site,
        day=day_of(received.received_at),
        quarantined_at=received.received_at,
        object_id=deterministic_uuid(file.component, instance.bucket, instance.object_key),
        component=file.component,
        reason=reason,
        bucket=instance.bucket,
        object_key=instance.object_key,
        size=instance.size,
        study=envelope.study,
        instance=instance.instance,
    )
    await file.context.io(file.context.tables.write, row, at=received.received_at)
    return QuarantinedInstance(instance=instance.instance, raw_digest=instance.raw_digest, reason=reason)
