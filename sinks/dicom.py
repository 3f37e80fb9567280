"""Results to a site's archive by STOW-RS (PS3.18 §10.5), under the identity that they were made without.

1. The identity is put back here and nowhere else: names and study from the vault, original UIDs from the headers of the raw
   images, both read for the purpose `delivery`, which leaves audit events.
2. What is restored lives in this process's memory and on its connection to the archive: no bucket of ours ever holds it.
3. UIDs of our own are made anew under the site's key, so that nobody can tell from an archive which de-identified object it is.
"""

from __future__ import annotations

import hashlib
import io
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from zlib import error as InflateError  # noqa: N812 - a class

import httpx
import pydicom
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag

from inference.settling import REGISTERED, elements, uids
from runtime.audit import COMPONENT_ROLE
from runtime.clock import MICROSECONDS
from runtime.connections import Connections
from runtime.errors import DeadLetterError, OutageError
from runtime.ports import ObjectMissingError, Objects, Tables
from runtime.sealed import SealedObjects
from runtime.settings import SiteSettings
from runtime.vault import Identity, Vault
from schemas.events import DocumentsStored, Event
from schemas.identifiers import Pseudonyms
from schemas.rows import ReceivedInstanceRow
from sinks.sink import Outputs, SinkSpec

SPEC = SinkSpec(
    summary="Delivers results to a site's archive by STOW-RS, under their original identity.",
    reads=("documents.v1",),
)

PURPOSE = "delivery"
"""Why vault and raw headers are read."""
TIMEOUT_S = 30.0
"""Seconds for one request: a few objects of less than a megabyte."""
HEADER_BYTES = 1024 * 1024
"""Bytes of a raw file read first; a header that is longer is read whole."""
PAGE = 1000
"""Rows per read of a study's raw objects."""
OURS, PSEUDONYM = 5, 8
"""UUID versions inside our `2.25.` UIDs: made from a result's id, and made from an original UID under a key."""
REMOVED = (
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "LongitudinalTemporalInformationModified",
    "PatientAge",
)
"""What speaks of de-identification, or was capped by it."""
FIELDS = {
    "PatientName": "patient_name",
    "PatientID": "patient_id",
    "IssuerOfPatientID": "issuer_of_patient_id",
    "PatientBirthDate": "patient_birth_date",
    "PatientSex": "patient_sex",
    "AccessionNumber": "accession_number",
    "StudyInstanceUID": "study_instance_uid",
    "StudyDate": "study_date",
    "StudyTime": "study_time",
    "StudyDescription": "study_description",
    "ReferringPhysicianName": "referring_physician_name",
}
"""Attributes that come from the vault, by keyword, with the field of `Identity`."""
OPTIONAL = frozenset({"IssuerOfPatientID", "StudyDescription"})
"""Those that are left out when empty; the others are type 2 or the study's own."""


def restored(
    data: bytes, identity: Identity, originals: Mapping[str, str], own: Callable[[str], str], made_at: int
) -> bytes:
    """Put the identity back into one of our documents.

    Parameters
    ----------
    data
        The de-identified document (PS3.10).
    identity
        Whose it is.
    originals
        Original UID of each pseudonymous one.
    own
        Name of one of our own UIDs outside.
    made_at
        When the result was made, UTC microseconds.

    Raises
    ------
    DeadLetterError
        `identity-missing`: the vault has no study UID. `original-missing`: an image that the document names has no original UIDs
        here. `not-representable`: the identity holds what DICOM cannot.
    """
    if not identity.study_instance_uid:
        raise DeadLetterError("identity-missing")
    document = pydicom.dcmread(io.BytesIO(data))
    known = {str(document.StudyInstanceUID): identity.study_instance_uid, **originals}
    made = datetime.fromtimestamp(made_at / MICROSECONDS, UTC)
    for element in list(elements(document)):
        if element.VR == "UI" and element.value:
            element.value = _outside(str(element.value), known, own)
        elif element.VR in {"DA", "TM", "DT"} and element.value:
            element.value = f"{made:{'%Y%m%d' if element.VR == 'DA' else '%H%M%S' if element.VR == 'TM' else '%Y%m%d%H%M%S'}}"
    document.SpecificCharacterSet = "ISO_IR 192"
    for keyword, name in FIELDS.items():
        value = getattr(identity, name)
        if value or keyword not in OPTIONAL:
            setattr(document, keyword, value)
    for keyword in REMOVED:
        if keyword in document:
            delattr(document, keyword)
    document.file_meta.MediaStorageSOPInstanceUID = document.SOPInstanceUID
    written = io.BytesIO()
    try:
        pydicom.dcmwrite(written, document, enforce_file_format=True)
    except (ValueError, TypeError) as error:
        raise DeadLetterError("not-representable") from error
    return written.getvalue()


def _outside(value: str, known: Mapping[str, str], own: Callable[[str], str]) -> str:
    """UID outside of one inside."""
    if value.startswith(REGISTERED):
        return value
    if value in known:
        return known[value]
    number = value.removeprefix("2.25.")
    if number != value and number.isdecimal() and uuid.UUID(int=int(number)).version == OURS:
        return own(value)
    raise DeadLetterError("original-missing")


def original_uids(header: bytes, pseudonyms: Pseudonyms) -> dict[str, str]:
    """Original UIDs of a raw file by what they are called inside: instance, series, study, frame of reference and all others.

    Parameters
    ----------
    header
        The file, or its beginning up to the pixels at least.

    Raises
    ------
    InvalidDicomError, EOFError, ValueError, InflateError
        It ends inside its header, or is none.
    """
    data_set = read_partial(io.BytesIO(header), stop_when=_at_pixels)
    return {pseudonyms.uid(value): value for value in uids(data_set)}


def multipart(files: list[bytes]) -> tuple[str, bytes]:
    """Content type and body of a store request (PS3.18 §10.5.1), the same for the same files."""
    boundary = "radstream-" + hashlib.sha256(b"".join(files)).hexdigest()[:32]
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    body = b"".join(head + file + b"\r\n" for file in files) + f"--{boundary}--\r\n".encode()
    return f'multipart/related; type="application/dicom"; boundary={boundary}', body


@dataclass(frozen=True, slots=True)
class ArchiveSink:
    """Delivers a result's documents to the archive of its site.

    Parameters
    ----------
    sites
        Settings of each site by name; without `archive_url` a site's results stay here.
    tokens
        Bearer token of each site that has one.
    client
        HTTP client; redirects are not followed, since what is sent names a person.
    pseudonyms
        Keyed pseudonyms of a site.
    """

    sites: Mapping[str, SiteSettings]
    tokens: Mapping[str, str]
    client: httpx.Client
    objects: Objects
    tables: Tables
    sealed: SealedObjects
    vault: Vault
    pseudonyms: Callable[[str], Pseudonyms]

    def write(self, topic: str, event: Event) -> Outputs:
        """Deliver one result's documents; the archive knows repetitions by their UIDs."""
        del topic
        if not isinstance(event, DocumentsStored):
            return ()
        site = self.sites.get(event.envelope.site)
        if site is not None and site.archive_url:
            self._store(site, self._restored(event))
        return ()

    def _restored(self, event: DocumentsStored) -> list[bytes]:
        site, study = event.envelope.site, event.envelope.study
        found = self.vault.read(site, (study,), purpose=PURPOSE, actor="dicom", actor_role=COMPONENT_ROLE)
        if study not in found:
            raise DeadLetterError("identity-missing")
        originals = self._originals(event)
        own = self.pseudonyms(site).uid
        try:
            inside = [self.objects.get(each.bucket, each.object_key) for each in event.documents]
        except ObjectMissingError as error:
            raise DeadLetterError("document-missing") from error
        return [restored(data, found[study], originals, own, event.made_at) for data in inside]

    def _originals(self, event: DocumentsStored) -> dict[str, str]:
        """Original UIDs of the images that the documents speak of; an image that came in two versions has the same in both."""
        wanted = set(event.instances)
        found: dict[str, str] = {}
        for row in self._received(event.envelope.site, event.envelope.study):
            if row.instance in wanted and row.bucket and row.object_key:
                wanted.remove(row.instance)
                found |= self._uids(event, row.bucket, row.object_key)
        return found

    def _received(self, site: str, study: str) -> Iterator[ReceivedInstanceRow]:
        after: tuple[str, str] | None = None
        while True:
            page = self.tables.select(ReceivedInstanceRow, limit=PAGE, after=after, site=site, study=study)
            yield from page
            if len(page) < PAGE:
                return
            after = (page[-1].instance, page[-1].raw_digest)

    def _uids(self, event: DocumentsStored, bucket: str, key: str) -> dict[str, str]:
        site, study = event.envelope.site, event.envelope.study
        pseudonyms = self.pseudonyms(site)
        try:
            begin = self.sealed.read_range(
                bucket, key, 0, HEADER_BYTES, site=site, study=study, purpose=PURPOSE
            )
            try:
                return original_uids(begin, pseudonyms)
            except (EOFError, ValueError, InflateError, InvalidDicomError):
                whole = self.sealed.read(bucket, key, site=site, study=study, purpose=PURPOSE)
                return original_uids(whole, pseudonyms)
        except ObjectMissingError as error:
            raise DeadLetterError("original-missing") from error
        except (EOFError, ValueError, InflateError, InvalidDicomError) as error:
            raise DeadLetterError("header-unreadable") from error

    def _store(self, site: SiteSettings, files: list[bytes]) -> None:
        content_type, body = multipart(files)
        headers = {"Content-Type": content_type, "Accept": "application/dicom+json"}
        if site.name in self.tokens:
            headers["Authorization"] = f"Bearer {self.tokens[site.name]}"
        try:
            status = self.client.post(
                f"{site.archive_url.rstrip('/')}/studies", content=body, headers=headers
            ).status_code
        except httpx.HTTPError as error:
            raise OutageError("the archive does not answer") from error
        if status >= 500 or status in {408, 429}:
            raise OutageError("the archive does not take anything now")
        if status != 200:  # 202: it took some and refused some (PS3.18 §10.5.3)
            raise DeadLetterError("archive-refused")


def _at_pixels(tag: BaseTag, vr: str | None, length: int) -> bool:
    """Whether the pixels begin here; everything that names something comes before."""
    del vr, length
    return int(tag) >= 0x7FE00008


def open_sink(connections: Connections) -> ArchiveSink:
    """Open the sink on a process's connections."""
    sites = {site.name: site for site in connections.settings.sites}
    return ArchiveSink(
        sites=sites,
        tokens={
            name: site.archive_token.read().decode() for name, site in sites.items() if site.archive_token
        },
        client=httpx.Client(timeout=TIMEOUT_S, follow_redirects=False, trust_env=False),
        objects=connections.objects,
        tables=connections.tables,
        sealed=connections.sealed,
        vault=connections.vault,
        pseudonyms=connections.pseudonyms,
    )
