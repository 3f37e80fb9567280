"""The one use case of every gateway: take bytes in, and say "received" only when they can no longer be lost.

Order of effects: raw object stored and verified → vault row → instance rows → event confirmed → rows marked
published → acknowledged. After a crash between any two of them the sender has no answer and sends again; a row
without `published_at` makes the same event, with the same id, be published first.

The members of one event share a `chunk`: an id over all instances that arrived together. The event's id is the same
function of the instances that are really in it, so a repeated delivery repeats the event.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from producers.chunk import chunk_id, reference, strictest
from producers.header import MAX_HEADER_BYTES, Header, MalformedError, NeedMoreError, read_header, registered
from producers.incoming import Incoming, object_key
from runtime import faults
from runtime.buckets import QUARANTINE, RAW
from runtime.clock import MICROSECONDS
from runtime.connections import Connections
from runtime.errors import DeadLetterError, RetryError
from runtime.logs import logger
from runtime.ports import ObjectMissingError
from runtime.vault import Identity
from schemas.events import InstanceReceived
from schemas.rows import QuarantinedObjectRow, ReceivedInstanceRow, ReceivedStudyRow
from schemas.tables import day_of

TOPIC = "instance.received.v1"
MAX_CHUNK = 256
"""Instances in one event: keeps it below 100 kB and is the largest single lever on throughput."""
MAX_WAIT_US = 2 * MICROSECONDS
"""Microseconds the first instance of a chunk may wait for company while a long delivery goes on."""
PAGE = 1000
"""Rows read at once when a chunk is looked up."""
Status = Literal["stored", "duplicate", "quarantined", "failed"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one instance.

    Parameters
    ----------
    status
        `stored` and `duplicate`: safe and published. `quarantined`: kept, encrypted, not processed. `failed`: nothing
        is promised, send it again.
    reason
        Class of the failure, "" for success.
    sop_class_uid, sop_instance_uid
        As the object says; for the answer to its sender and nothing else, so never shown.
    """

    status: Status
    reason: str = ""
    sop_class_uid: str = dataclasses.field(default="", repr=False)
    sop_instance_uid: str = dataclasses.field(default="", repr=False)

    @property
    def safe(self) -> bool:
        """Whether the sender may forget the instance."""
        return self.status in ("stored", "duplicate")


@dataclass(frozen=True, slots=True)
class _Member:
    """A stored instance that waits for its event; `position` is its place in the delivery."""

    position: int
    row: ReceivedInstanceRow
    outcome: Outcome


class Delivery:
    """What one sender sends together, for example one STOW request. Used by one thread at a time.

    Parameters
    ----------
    connections
        The process's connections; may be shared by any number of deliveries.
    gateway
        Name of the gateway: `stow`, `folder`.
    site
        Site of the authenticated sender, never read from DICOM.
    """

    def __init__(self, connections: Connections, gateway: str, site: str) -> None:
        settings = connections.settings.site(site)
        self._connections = connections
        self._log = logger(gateway)
        self._gateway = gateway
        self._site = site
        self._issuer = settings.issuer
        self._default_priority = settings.ordered_priority
        self._pseudonyms = connections.pseudonyms(site)
        self._correlation_id = str(uuid.uuid4())
        self._outcomes: list[Outcome] = []
        self._waiting: list[_Member] = []
        self._vaulted: dict[str, Identity] = {}

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """One per instance, in order; those of waiting instances read `failed` until `flush` has returned."""
        return tuple(self._outcomes)

    def begin(self) -> Incoming:
        """Start an instance; raises RetryError when the store does not answer."""
        return Incoming(self._connections, self._site)

    def refuse(self, reason: str) -> None:
        """Note an instance of which nothing was kept."""
        self._outcomes.append(Outcome("failed", reason))

    def accept(self, incoming: Incoming, *, study_uid: str = "", doubt: str = "") -> None:
        """Take in an instance whose last byte was written.

        Parameters
        ----------
        incoming
            The instance.
        study_uid
            Study Instance UID that the sender named; an object of another study is quarantined.
        doubt
            Reason to quarantine it whatever it holds, for example an unexpected media type.
        """
        position = len(self._outcomes)
        self._outcomes.append(Outcome("failed", "unavailable"))
        try:
            self._outcomes[position] = self._accept(incoming, position, study_uid, doubt)
        except RetryError:
            incoming.abort()
            self._delete(incoming.key)
            self._log.warning("instance not taken in", site=self._site, reason="unavailable")
        if self._due():
            self.flush()

    def flush(self) -> None:
        """Publish what waits and settle its outcomes; what could not be published reads `failed`."""
        waiting, self._waiting = self._waiting, []
        by_study: dict[str, list[_Member]] = {}
        for member in waiting:
            by_study.setdefault(member.row.study, []).append(member)
        for study, members in by_study.items():
            try:
                self._settle(study, members)
            except RetryError:
                self._log.warning("chunk not published", site=self._site, study=study)

    def abandon(self) -> None:
        """Forget instances that wait: their sender went away without an answer and will send them again."""
        waiting, self._waiting = self._waiting, []
        for member in waiting:
            self._delete(member.row.object_key)

    def _accept(self, incoming: Incoming, position: int, study_uid: str, doubt: str) -> Outcome:
        incoming.commit()
        faults.reach("after-store")
        self._verify(incoming)
        try:
            header = self._read_header(incoming)
        except MalformedError as error:
            return self._quarantine(incoming, doubt or error.reason, Outcome("quarantined"))
        outcome = Outcome("stored", "", header.sop_class_uid, header.sop_instance_uid)
        if study_uid and header.study_uid != study_uid:
            doubt = "study-mismatch"
        if doubt:
            return self._quarantine(incoming, doubt, outcome)
        row = self._row(incoming, header)
        self._to_vault(row.study, header.identity)
        self._waiting.append(_Member(position, row, outcome))
        return dataclasses.replace(outcome, status="failed", reason="unavailable")

    def _verify(self, incoming: Incoming) -> None:
        """Read back what the store has and hold it against what came in."""
        try:
            stored = self._connections.sealed.digest(RAW, incoming.key)
        except (ObjectMissingError, DeadLetterError) as error:
            raise RetryError("a stored object cannot be read back") from error
        if stored != incoming.sha256:
            raise RetryError("a stored object is not what was sent")

    def _read_header(self, incoming: Incoming) -> Header:
        head = incoming.head
        while True:
            try:
                return read_header(head, incoming.size)
            except NeedMoreError as error:
                wanted = max(error.size, 2 * len(head))
            if len(head) >= MAX_HEADER_BYTES or len(head) >= incoming.size:
                raise MalformedError("header-too-large")
            head = self._connections.sealed.read_range(
                RAW,
                incoming.key,
                0,
                min(wanted, MAX_HEADER_BYTES, incoming.size),
                site=self._site,
                study="",
                purpose="ingest",
            )

    def _row(self, incoming: Incoming, header: Header) -> ReceivedInstanceRow:
        names = self._pseudonyms
        return ReceivedInstanceRow(
            site=self._site,
            study=names.study(self._issuer, header.study_uid),
            instance=names.instance(header.sop_instance_uid),
            raw_digest=names.raw_digest(incoming.sha256),
            series=names.series(header.study_uid, header.series_uid),
            bucket=RAW,
            object_key=incoming.key,
            size=incoming.size,
            sop_class_uid=registered(header.sop_class_uid),
            transfer_syntax_uid=registered(header.transfer_syntax_uid),
            gateway=self._gateway,
            ordered_priority=header.requested_priority or self._default_priority,
            received_at=incoming.received_at,
            correlation_id=self._correlation_id,
        )

    def _to_vault(self, study: str, identity: Identity) -> None:
        """Keep the identity; once per delivery unless it changes within the study."""
        if self._vaulted.get(study) == identity:
            return
        self._connections.vault.store(self._site, study, identity, at=self._connections.clock.now())
        self._vaulted[study] = identity

    def _quarantine(self, incoming: Incoming, reason: str, outcome: Outcome) -> Outcome:
        """Move the bytes to quarantine, still encrypted, and say why in a row."""
        connections, now = self._connections, self._connections.clock.now()
        object_id = str(uuid.uuid4())
        key = object_key(self._site, now, object_id)
        sealed = connections.sealed
        writer = sealed.open_write(QUARANTINE, key)
        try:
            for piece in sealed.stream(RAW, incoming.key, site=self._site, study="", purpose="quarantine"):
                writer.write(piece)
            writer.commit()
        except BaseException:
            writer.abort()
            raise
        row = QuarantinedObjectRow(
            site=self._site,
            day=day_of(now),
            quarantined_at=now,
            object_id=object_id,
            component=self._gateway,
            reason=reason,
            bucket=QUARANTINE,
            object_key=key,
            size=incoming.size,
        )
        connections.tables.write(row, at=now)
        self._delete(incoming.key)
        connections.metrics.count("radstream_quarantined_total", site=self._site)
        self._log.warning("instance quarantined", site=self._site, reason=reason)
        return dataclasses.replace(outcome, status="quarantined", reason=reason)

    def _delete(self, key: str | None) -> None:
        """Remove a raw object that nothing refers to; a leftover is harmless, so a failure is not passed on."""
        try:
            self._connections.objects.delete(RAW, key or "")
        except RetryError:
            self._log.warning("leftover raw object", site=self._site)

    def _due(self) -> bool:
        if not self._waiting:
            return False
        age = self._connections.clock.now() - (self._waiting[0].row.received_at or 0)
        return len(self._waiting) >= MAX_CHUNK or age >= MAX_WAIT_US

    def _settle(self, study: str, members: Sequence[_Member]) -> None:
        """Rows, event, mark: in this order; only then are the members' outcomes success."""
        unique = {(member.row.instance, member.row.raw_digest): member for member in reversed(members)}
        chunk = chunk_id(self._site, study, (member.row for member in unique.values()))
        fresh: list[ReceivedInstanceRow] = []
        known: list[ReceivedInstanceRow] = []
        for member in sorted(unique.values(), key=lambda each: each.position):
            swap = self._connections.tables.insert_if_absent(dataclasses.replace(member.row, chunk=chunk))
            row = swap.current
            if row is None:
                raise RetryError("a row is neither there nor not there")
            if swap.applied:
                fresh.append(row)
            else:
                known.append(self._with_object(row, member.row.object_key))
        faults.reach("after-effect")
        self._publish(study, chunk, fresh, known)
        self._conclude(members, {row.object_key for row in (*fresh, *known)})
        self._log.info(
            "instances received", site=self._site, study=study, count=len(members), items=len(fresh)
        )

    def _with_object(self, row: ReceivedInstanceRow, key: str | None) -> ReceivedInstanceRow:
        """Return the row of a duplicate; where its object has vanished, the new one takes its place and is published."""
        connections = self._connections
        if connections.objects.head(RAW, row.object_key or "") is not None:
            return row
        self._log.error(
            "stored object had vanished", site=self._site, study=row.study, object_key=row.object_key
        )
        unmarked = dataclasses.replace(row, published_at=None)
        connections.tables.write(unmarked, at=connections.clock.now(), columns=("published_at",))
        swap = connections.tables.compare_and_set(
            dataclasses.replace(unmarked, object_key=key), expect={"object_key": row.object_key}
        )
        return dataclasses.replace(swap.current or unmarked, published_at=None)

    def _publish(
        self,
        study: str,
        chunk: str,
        fresh: Sequence[ReceivedInstanceRow],
        known: Sequence[ReceivedInstanceRow],
    ) -> None:
        """Publish the new chunk, and every older one of which no confirmed publication is on record."""
        unpublished = {row.chunk for row in known if row.published_at is None and row.chunk}
        if fresh and chunk not in unpublished:
            self._publish_chunk(study, fresh)
        for older in sorted(unpublished):
            self._publish_chunk(study, self._rows_of(study, older))

    def _rows_of(self, study: str, chunk: str) -> list[ReceivedInstanceRow]:
        found: list[ReceivedInstanceRow] = []
        after: tuple[str, str] | None = None
        while True:
            page = self._connections.tables.select(
                ReceivedInstanceRow, limit=PAGE, after=after, site=self._site, study=study
            )
            found += [row for row in page if row.chunk == chunk]
            if len(page) < PAGE:
                return found
            after = (page[-1].instance, page[-1].raw_digest)

    def _publish_chunk(self, study: str, rows: Sequence[ReceivedInstanceRow]) -> None:
        event = self._event(study, rows)
        try:
            self._connections.publisher.publish([(TOPIC, event)])
        except DeadLetterError as error:
            raise RetryError(error.reason) from error
        faults.reach("after-publish")
        now = self._connections.clock.now()
        tables = self._connections.tables
        tables.write(
            ReceivedStudyRow(
                site=self._site, day=day_of(event.received_at), study=study, received_at=event.received_at
            ),
            at=now,
        )
        for row in rows:
            tables.write(dataclasses.replace(row, published_at=now), at=now, columns=("published_at",))

    def _event(self, study: str, rows: Sequence[ReceivedInstanceRow]) -> InstanceReceived:
        ordered = sorted(rows, key=lambda row: (row.instance, row.raw_digest))
        received_at = min(row.received_at or 0 for row in ordered)
        envelope = self._connections.publisher.envelope(
            self._site,
            study,
            chunk_id(self._site, study, ordered),
            correlation_id=ordered[0].correlation_id or self._correlation_id,
            occurred_at=received_at,
        )
        return InstanceReceived(
            envelope=envelope,
            gateway=ordered[0].gateway or self._gateway,
            received_at=received_at,
            ordered_priority=strictest(row.ordered_priority or "unknown" for row in ordered),
            instances=tuple(reference(row) for row in ordered),
        )

    def _conclude(self, members: Sequence[_Member], kept: set[str | None]) -> None:
        """Settle outcomes; bytes that were already there under another key go, the row names the first."""
        metrics = self._connections.metrics
        for member in members:
            is_kept = member.row.object_key in kept
            status: Status = "stored" if is_kept else "duplicate"
            self._outcomes[member.position] = dataclasses.replace(member.outcome, status=status)
            metrics.count("radstream_instances_received_total", site=self._site)
            metrics.count("radstream_bytes_received_total", member.row.size or 0, site=self._site)
            if not is_kept:
                self._delete(member.row.object_key)
