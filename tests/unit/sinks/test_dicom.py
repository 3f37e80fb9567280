"""Results under their identity: put back for a purpose, audited, sent whole, kept nowhere."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from email import message_from_bytes
from pathlib import Path

import httpx
import pydicom
import pytest

from inference.settling import elements, uids
from runtime import buckets
from runtime.connections import Connections
from runtime.errors import DeadLetterError, OutageError
from runtime.vault import Identity
from schemas.codec import decode
from schemas.events import AuditEvent, DocumentsStored
from schemas.rows import ReceivedInstanceRow
from sinks import dicom, documents
from tests.support import events, results
from tests.support.context import START
from tests.support.installation import connections

SITE, STUDY = events.SITE, events.STUDY
RAW = results.chest_xray()
ORIGINAL = pydicom.dcmread(io.BytesIO(RAW), stop_before_pixels=True)
IDENTITY = Identity(
    patient_name="Müller^Änne",
    patient_id="P4711",
    issuer_of_patient_id="NORTH",
    patient_birth_date="19700101",
    patient_sex="F",
    accession_number="A0815",
    study_instance_uid=str(ORIGINAL.StudyInstanceUID),
    study_date="20260102",
    study_time="101112",
)
STORE = [{"name": SITE, "archive_url": "https://archive.example/dicom-web/"}, {"name": "south"}]


@dataclass
class Archive:
    """An archive that answers with one status and keeps what it was sent."""

    status: int = 200
    requests: list[httpx.Request] | None = None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Take a request."""
        self.requests = [*(self.requests or []), request]
        if not self.status:
            raise httpx.ConnectError("nobody there")
        return httpx.Response(self.status)

    @property
    def files(self) -> list[bytes]:
        """What the last request brought."""
        assert self.requests
        request = self.requests[-1]
        head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
        parts = message_from_bytes(head + request.content).get_payload()
        assert isinstance(parts, list)
        return [bytes(part.get_payload(decode=True)) for part in parts]  # type: ignore[union-attr]


@dataclass
class World:
    """An installation with one result of one study."""

    made: Connections
    archive: Archive
    stored: DocumentsStored

    def deliver(self, event: DocumentsStored | None = None) -> None:
        """Deliver the result."""
        sink = dicom.open_sink(self.made)
        client = httpx.Client(transport=httpx.MockTransport(self.archive))
        assert replace(sink, client=client).write("documents.v1", event or self.stored) == ()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = connections(tmp_path, "dicom", sites=STORE)
    clean = results.clean(RAW, made.pseudonyms(SITE))
    results.stored(made.objects, [clean], ["pneumothorax"], 512, 512)
    made.sealed.put(buckets.RAW, "raw-1", RAW)
    row = ReceivedInstanceRow(
        site=SITE, study=STUDY, instance="in-1", raw_digest="d", bucket=buckets.RAW, object_key="raw-1"
    )
    made.tables.insert_if_absent(row)
    made.vault.store(SITE, STUDY, IDENTITY, at=START)
    result = results.result(results.present("pneumothorax"))
    ((_, event),) = documents.open_sink(made).write("findings.v1", result)
    assert isinstance(event, DocumentsStored)
    yield World(made, Archive(), event)
    made.close()


def test_what_arrives_names_the_patient_the_study_and_the_images_as_the_archive_knows_them(
    world: World,
) -> None:
    world.deliver()
    assert len(world.archive.files) == 3
    for data in world.archive.files:
        document = pydicom.dcmread(io.BytesIO(data))
        assert (str(document.PatientName), document.PatientID) == ("Müller^Änne", "P4711")
        assert (document.AccessionNumber, document.StudyDate) == ("A0815", "20260102")
        assert document.StudyInstanceUID == ORIGINAL.StudyInstanceUID
        named = {str(each.value) for each in elements(document) if each.keyword == "ReferencedSOPInstanceUID"}
        assert named == {str(ORIGINAL.SOPInstanceUID)}
        assert "PatientIdentityRemoved" not in document
        assert "20261121" in {document.get("ContentDate"), document.get("PresentationCreationDate")}
        assert document.file_meta.MediaStorageSOPInstanceUID == document.SOPInstanceUID


def test_no_uid_and_no_date_of_the_de_identified_space_goes_out(world: World) -> None:
    world.deliver()
    inside: set[str] = set()
    shifted: set[str] = set()
    for each in world.stored.documents:
        document = pydicom.dcmread(io.BytesIO(world.made.objects.get(each.bucket, each.object_key)))
        inside |= uids(document)
        shifted.add(document.StudyDate)
    for data in world.archive.files:
        document = pydicom.dcmread(io.BytesIO(data))
        assert uids(document) & inside == set()
        assert shifted & {str(each.value) for each in elements(document)} == set()


def test_a_repetition_is_the_same_request(world: World) -> None:
    world.deliver()
    world.deliver()
    assert world.archive.requests is not None
    first, again = world.archive.requests
    assert first.content == again.content
    assert str(first.url) == "https://archive.example/dicom-web/studies"
    assert first.headers["Content-Type"].startswith('multipart/related; type="application/dicom"; boundary=')


def test_vault_and_raw_header_are_opened_for_delivery_and_leave_audit_events(world: World) -> None:
    world.deliver()
    consumer = world.made.log.consumer("reader", ("audit.v1",), "reader")
    read = [decode(record.value, world.made.registry) for record in consumer.poll(100, 5.0)]
    consumer.close()
    assert sorted((each.action, each.purpose) for each in read if isinstance(each, AuditEvent)) == [
        ("raw.read", "delivery"),
        ("vault.read", "delivery"),
    ]


def test_no_bucket_holds_what_was_restored(world: World) -> None:
    def kept() -> dict[tuple[str, str], bytes]:
        objects = world.made.objects
        return {(b, info.key): objects.get(b, info.key) for b in buckets.ALL for info in objects.keys(b)}

    before = kept()
    world.deliver()
    assert kept() == before
    assert all(
        b"P4711" not in data for (bucket, _), data in before.items() if bucket not in buckets.ENCRYPTED
    )


def test_a_site_without_an_archive_sends_nothing_and_opens_nothing(world: World) -> None:
    elsewhere = replace(world.stored, envelope=replace(world.stored.envelope, site="south"))
    world.deliver(elsewhere)
    assert world.archive.requests is None


@pytest.mark.parametrize("status", [0, 500, 503, 429])
def test_an_archive_that_does_not_take_anything_now_is_waited_for(world: World, status: int) -> None:
    world.archive.status = status
    with pytest.raises(OutageError):
        world.deliver()


@pytest.mark.parametrize("status", [202, 301, 401, 409])
def test_what_an_archive_refuses_is_given_up_with_a_reason(world: World, status: int) -> None:
    world.archive.status = status
    with pytest.raises(DeadLetterError) as refused:
        world.deliver()
    assert refused.value.reason == "archive-refused"


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda world: world.made.objects.delete(buckets.RAW, "raw-1"), "original-missing"),
        (lambda world: world.made.sealed.put(buckets.RAW, "raw-1", b"no DICOM"), "header-unreadable"),
        (lambda world: world.made.vault.store(SITE, STUDY, Identity(), at=START + 1), "identity-missing"),
        (
            lambda world: [world.made.objects.delete(d.bucket, d.object_key) for d in world.stored.documents],
            "document-missing",
        ),
    ],
    ids=["no raw file", "a broken raw file", "an empty identity", "no document"],
)
def test_what_is_not_whole_is_not_sent(world: World, spoil: Callable[[World], object], reason: str) -> None:
    spoil(world)
    with pytest.raises(DeadLetterError) as refused:
        world.deliver()
    assert refused.value.reason == reason
    assert world.archive.requests is None


def test_an_image_whose_original_is_not_known_is_not_guessed(world: World) -> None:
    with pytest.raises(DeadLetterError) as refused:
        world.deliver(replace(world.stored, instances=()))
    assert refused.value.reason == "original-missing"
