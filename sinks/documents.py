"""Results as DICOM objects in the results bucket: a report per result, a segmentation and a presentation state per image.

1. They are made of de-identified images and of the event: written again, the same bytes. Only a delivering sink knows whose they
   are (`sinks/dicom.py`), and it writes to no bucket of ours.
2. Which report a new one takes the place of is decided once and kept in `result_documents`: a replay finds the decision.
3. The report speaks of the images on which a finding is strongest; all images that were read are in the result's record.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.errors import InvalidDicomError

from inference import placement
from inference.standard_objects import Document, SourceImage, documents
from runtime.buckets import RESULTS
from runtime.connections import Connections
from runtime.errors import DeadLetterError
from runtime.ports import ObjectMissingError, Objects, Tables
from schemas.events import DocumentsStored, Envelope, Event, Findings, ResultImage, StoredDocument
from schemas.identifiers import deterministic_uuid
from schemas.rows import ResultDocumentsRow
from sinks.sink import REVISION_SPAN, Outputs, SinkSpec

SPEC = SinkSpec(
    summary="Makes each result into DICOM objects: SR, SEG and presentation states.",
    reads=("findings.v1",),
    emits=("documents.v1",),
)

PAGE = 1000
"""Rows per read: a study with more results than this is no study."""
NOT_REPRESENTABLE = (ValueError, TypeError, AttributeError, KeyError, IndexError, NotImplementedError)
"""What the DICOM library raises where a header lacks what its kind of image must have."""

MakeEnvelope = Callable[[Findings, str], Envelope]
"""Envelope of what a result causes, with an id."""


def follows(rows: Sequence[ResultDocumentsRow], result: Findings) -> ResultDocumentsRow:
    """Place of a result among those of its study: as it was decided, else after the newest."""
    decided = next((row for row in rows if row.result_id == result.result_id), None)
    if decided is not None:
        return decided
    newest = max(rows, key=lambda row: row.sequence or 0, default=None)
    return ResultDocumentsRow(
        site=result.envelope.site,
        study=result.envelope.study,
        result_id=result.result_id,
        revision=result.revision,
        sequence=1 if newest is None else (newest.sequence or 0) + 1,
        predecessor="" if newest is None else newest.result_id,
        made_at=result.envelope.occurred_at,
    )


def spoken_of(result: Findings) -> tuple[ResultImage, ...]:
    """Images that a finding names, in the order of their pseudonyms."""
    named = {finding.instance for finding in result.findings}
    return tuple(
        sorted((image for image in result.images if image.instance in named), key=lambda i: i.instance)
    )


@dataclass(frozen=True, slots=True)
class DocumentsSink:
    """Stores a result's DICOM objects, and says in `result_documents` and on a topic where they are."""

    objects: Objects
    tables: Tables
    envelope: MakeEnvelope

    def write(self, topic: str, event: Event) -> Outputs:
        """Store what one result needs; a result without findings has nothing to report."""
        del topic
        if not isinstance(event, Findings) or event.status != "analysed" or not event.findings:
            return ()
        rows = self.tables.select(
            ResultDocumentsRow, limit=PAGE, site=event.envelope.site, study=event.envelope.study
        )
        place = follows(rows, event)
        images = [self._source(image, event) for image in spoken_of(event)]
        try:
            made = documents(event, images, place.predecessor or "")
        except NOT_REPRESENTABLE as error:
            raise DeadLetterError("not-representable") from error
        stored = tuple(self._stored(event, document) for document in made)
        row = _with_documents(place, stored)
        if row not in rows:
            # The decision comes first: what is stored and published follows from it, however often this is repeated.
            self.tables.write(row, at=event.revision * REVISION_SPAN)
        for document, where in zip(made, stored, strict=True):
            self.objects.put(where.bucket, where.object_key, document.data)
        told = DocumentsStored(
            envelope=self.envelope(event, deterministic_uuid("documents", event.result_id)),
            revision=event.revision,
            result_id=event.result_id,
            predecessor=place.predecessor or "",
            made_at=place.made_at or 0,
            instances=tuple(image.instance for image in images),
            documents=stored,
        )
        return (("documents.v1", told),)

    def _source(self, image: ResultImage, result: Findings) -> SourceImage:
        try:
            data = self.objects.get(image.bucket, image.object_key)
            header = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True)
        except ObjectMissingError as error:
            raise DeadLetterError("image-missing") from error
        except InvalidDicomError as error:
            raise DeadLetterError("header-unreadable") from error
        shown = masks(result, image, int(header.get("Rows") or 0), int(header.get("Columns") or 0))
        return SourceImage(instance=image.instance, header=header, masks=shown)

    def _stored(self, result: Findings, document: Document) -> StoredDocument:
        folder = f"{result.envelope.site}/{result.envelope.study}/{result.revision}"
        name = "-".join(filter(None, (document.kind, document.instance, result.result_id)))
        return StoredDocument(
            kind=document.kind,
            instance=document.instance,
            sop_class_uid=document.sop_class_uid,
            bucket=RESULTS,
            object_key=f"{folder}/{name}.dcm",
            size=len(document.data),
            digest=hashlib.sha256(document.data).hexdigest(),
        )


def masks(result: Findings, image: ResultImage, rows: int, columns: int) -> dict[str, NDArray[np.bool_]]:
    """Regions of the findings that are strongest on this image and reach their operating point: within their outlines."""
    return {
        finding.finding: placement.filled(
            [placement.contour_of(outline.pixels) for outline in finding.outlines], rows, columns
        )
        for finding in result.findings
        if finding.instance == image.instance and finding.outlines
    }


def _with_documents(place: ResultDocumentsRow, stored: Sequence[StoredDocument]) -> ResultDocumentsRow:
    told: dict[str, Any] = {name: getattr(place, name) for name in ResultDocumentsRow.__slots__}
    named = ("kind", "instance", "bucket", "object_key")
    told["documents"] = json.dumps([{name: getattr(each, name) for name in named} for each in stored])
    return ResultDocumentsRow(**told)


def open_sink(connections: Connections) -> DocumentsSink:
    """Open the sink on a process's connections."""

    def envelope(result: Findings, event_id: str) -> Envelope:
        parent = result.envelope
        return connections.publisher.envelope(
            parent.site,
            parent.study,
            event_id,
            correlation_id=parent.correlation_id,
            causation_id=parent.event_id,
            hops=parent.hops,
        )

    return DocumentsSink(connections.objects, connections.tables, envelope)
