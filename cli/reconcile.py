"""`radstream reconcile`: what senders were told against what there is, study by study, by raw reads.

What a gateway acknowledged must be in the raw tier, in a published event, de-identified or refused with a reason, in the
study's revision, in a result, on the worklist or signed, and every raised alert delivered. What is missing after the
grace time is lost; what is there twice is doubled; what is younger than the grace time is pending.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from runtime.clock import MICROSECONDS
from runtime.connections import Connections
from runtime.ports import Log, Record
from schemas import events
from schemas.codec import UndecodableError, decode
from schemas.events import Event
from schemas.rows import (
    AlertDeliveryRow,
    ReceivedInstanceRow,
    ReceivedStudyRow,
    StudyAssemblyRow,
    StudyInstanceRow,
    StudyRow,
    WorklistItemRow,
)
from schemas.tables import WORKLIST_SHARDS

GRACE_S = 60.0
"""Seconds after receipt within which something missing counts as pending."""
PAGE = 1000
"""Rows or records read at once."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is not as the sender was told.

    Parameters
    ----------
    kind
        `lost`, `doubled` or `pending`.
    what
        Class of the problem, for example `raw-object-missing`.
    site, study
        Where.
    subject
        Instance, event or alert, as a pseudonym; empty if the study itself.
    """

    kind: str
    what: str
    site: str
    study: str
    subject: str = ""


@dataclass(slots=True)
class Published:
    """What the log holds of one study."""

    received: Counter[str] = field(default_factory=Counter)
    """Times each instance's raw digest was published, by event id distinct."""
    deidentified: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    results: Counter[tuple[int, str]] = field(default_factory=Counter)
    """Distinct result events by revision and model."""
    findings_revisions: set[int] = field(default_factory=set)
    raised: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Report:
    """Outcome of a reconciliation."""

    studies: int
    instances: int
    problems: tuple[Problem, ...]

    def count(self, kind: str) -> int:
        """Problems of a kind."""
        return sum(problem.kind == kind for problem in self.problems)


def records(log: Log, topic: str) -> Iterable[Record]:
    """Every record of a topic, partition by partition."""
    for partition, end in log.end_offsets(topic).items():
        start = 0
        while start < end:
            page = log.read(topic, partition, start, PAGE)
            if not page:
                break
            yield from page
            start = page[-1].offset + 1


def gather(connections: Connections) -> dict[tuple[str, str], Published]:
    """Read the whole log and sort what it says by site and study; a repeated event counts once."""
    found: dict[tuple[str, str], Published] = defaultdict(Published)
    topics = ("instance.received.v1", "instance.deidentified.v1", "findings.v1", "alerts.v1")
    for topic in topics:
        seen: set[str] = set()
        for record in records(connections.log, topic):
            try:
                event = decode(record.value, connections.registry)
            except UndecodableError:
                continue
            if event.envelope.event_id in seen:
                continue
            seen.add(event.envelope.event_id)
            _note(found[event.envelope.site, event.envelope.study], event)
    return dict(found)


def _note(published: Published, event: Event) -> None:
    if isinstance(event, events.InstanceReceived):
        published.received.update(instance.raw_digest for instance in event.instances)
    elif isinstance(event, events.InstanceDeidentified):
        published.deidentified.update(instance.instance for instance in event.instances)
        published.refused.update(instance.raw_digest for instance in event.quarantined)
    elif isinstance(event, events.Findings):
        published.results[event.revision, event.model] += 1
        published.findings_revisions.add(event.revision)
    elif isinstance(event, events.AlertState) and event.state == "raised":
        published.raised.add(event.alert_id)


def _received_rows(connections: Connections, site: str, study: str) -> list[ReceivedInstanceRow]:
    found: list[ReceivedInstanceRow] = []
    after: Sequence[str] | None = None
    while True:
        page = connections.tables.select(ReceivedInstanceRow, site=site, study=study, limit=PAGE, after=after)
        found += page
        if len(page) < PAGE:
            return found
        after = (page[-1].instance, page[-1].raw_digest)


def instance_problems(
    connections: Connections, site: str, study: str, rows: Sequence[ReceivedInstanceRow], published: Published
) -> Iterable[tuple[str, str, str]]:
    """Compare each acknowledged instance with the raw tier, the log and the study's instances."""
    present = {
        row.instance
        for row in connections.tables.select(StudyInstanceRow, site=site, study=study, limit=100 * PAGE)
    }
    for row in rows:
        if row.published_at is None:
            continue
        if connections.objects.head(row.bucket or "", row.object_key or "") is None:
            yield "lost", "raw-object-missing", row.instance
        times = published.received[row.raw_digest]
        if times == 0:
            yield "lost", "received-event-missing", row.instance
        elif times > 1:
            yield "doubled", "received-event-twice", row.instance
        if row.raw_digest in published.refused:
            continue
        if row.instance not in published.deidentified:
            yield "lost", "deidentified-event-missing", row.instance
        elif row.instance not in present:
            yield "lost", "instance-row-missing", row.instance


def study_problems(
    connections: Connections, site: str, study: str, published: Published, listed: Counter[tuple[str, str]]
) -> Iterable[tuple[str, str, str]]:
    """Compare a study's revision, result, and place in the worklist."""
    tables = connections.tables
    assembly = tables.get(StudyAssemblyRow, site=site, study=study)
    row = tables.get(StudyRow, site=site, study=study)
    if assembly is None or row is None:
        yield "lost", "study-row-missing", ""
        return
    expected = set(json.loads(assembly.instances or "{}"))
    if not published.deidentified <= expected:
        yield "lost", "instance-not-assembled", ""
    if not published.findings_revisions:
        yield "lost", "result-missing", ""
    elif row.result_status is None or row.urgency is None:
        yield "lost", "result-row-missing", ""
    for (_, model), times in published.results.items():
        if times > 1:
            yield "doubled", "result-twice", model
    places = listed[site, study] + (row.review_status == "signed")
    if places == 0:
        yield "lost", "worklist-row-missing", ""
    elif places > 1:
        yield "doubled", "worklist-row-twice", ""


def alert_problems(
    connections: Connections, site: str, published: Published
) -> Iterable[tuple[str, str, str]]:
    """Every raised alert must have been delivered."""
    for alert in sorted(published.raised):
        delivery = connections.tables.get(AlertDeliveryRow, site=site, alert_id=alert, channel="webhook")
        if delivery is None or delivery.status != "delivered":
            yield "lost", "alert-not-delivered", alert


def _listed(connections: Connections, sites: Sequence[str]) -> Counter[tuple[str, str]]:
    listed: Counter[tuple[str, str]] = Counter()
    for site in sites:
        for shard in range(WORKLIST_SHARDS):
            rows = connections.tables.select(WorklistItemRow, site=site, shard=shard, limit=100 * PAGE)
            listed.update((site, row.study) for row in rows)
    return listed


def reconcile(connections: Connections, sites: Sequence[str], days: Sequence[str]) -> Report:
    """Compare what senders of the sites were told on the days (UTC, `2026-11-21`) with everything there is."""
    log = gather(connections)
    listed = _listed(connections, sites)
    young = connections.clock.now() - int(GRACE_S * MICROSECONDS)
    problems: list[Problem] = []
    studies, instances = 0, 0
    for site in sites:
        for day in days:
            for known in connections.tables.select(ReceivedStudyRow, site=site, day=day, limit=100 * PAGE):
                studies += 1
                study = known.study
                rows = _received_rows(connections, site, study)
                instances += len(rows)
                published = log.get((site, study), Published())
                pending = max((row.received_at or 0 for row in rows), default=0) > young
                for kind, what, subject in (
                    *instance_problems(connections, site, study, rows, published),
                    *study_problems(connections, site, study, published, listed),
                    *alert_problems(connections, site, published),
                ):
                    told = "pending" if pending and kind == "lost" else kind
                    problems.append(Problem(told, what, site, study, subject))
    return Report(studies, instances, tuple(sorted(problems)))
