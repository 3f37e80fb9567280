"""`radstream reconcile`: what senders were told against what there is, study by study, by raw reads.

What a gateway acknowledged must be in the raw tier, in a published event, de-identified or refused with a reason, in the
study's revision, in a result with its record and overlays, on the worklist or signed, and every alert raised and delivered.
What is missing after the grace time is lost; what is there twice is doubled; what is younger than the grace time is pending.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from cli.published import Published, gather
from runtime.buckets import RESULTS
from runtime.clock import MICROSECONDS
from runtime.connections import Connections
from runtime.errors import DeadLetterError
from runtime.ports import ObjectMissingError
from schemas.rows import (
    AlertDeliveryRow,
    ReceivedInstanceRow,
    ReceivedStudyRow,
    ResultImageRow,
    StudyAssemblyRow,
    StudyInstanceRow,
    StudyRow,
    WorklistItemRow,
)
from schemas.tables import WORKLIST_SHARDS

GRACE_S = 60.0
"""Seconds after receipt within which something missing counts as pending."""
PAGE = 1000
"""Rows read at once."""

Found = Iterator[tuple[str, str, str]]
"""Kind, class and subject of each problem of a study."""


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
        Instance, result or alert, as a pseudonym; empty if the study itself.
    """

    kind: str
    what: str
    site: str
    study: str
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """Outcome of a reconciliation."""

    studies: int
    instances: int
    problems: tuple[Problem, ...]

    def count(self, kind: str) -> int:
        """Problems of a kind."""
        return sum(problem.kind == kind for problem in self.problems)


@dataclass(frozen=True, slots=True)
class Extent:
    """How far to look.

    Parameters
    ----------
    days
        Days of receipt (UTC, `2026-11-21`).
    grace_s
        Seconds after receipt within which something missing counts as pending.
    verify
        Whether to read every raw object and hold it against its keyed digest; else only its presence is looked at.
    """

    days: Sequence[str]
    grace_s: float = GRACE_S
    verify: bool = False


@dataclass(frozen=True, slots=True)
class Study:
    """One study under comparison."""

    connections: Connections
    site: str
    study: str
    received: tuple[ReceivedInstanceRow, ...]
    published: Published

    @property
    def acknowledged(self) -> tuple[ReceivedInstanceRow, ...]:
        """Instances whose publication is on record: without it no sender was told anything."""
        return tuple(row for row in self.received if row.published_at is not None)

    def instances(self) -> list[StudyInstanceRow]:
        """De-identified instances in the tables."""
        return self.connections.tables.select(
            StudyInstanceRow, site=self.site, study=self.study, limit=100 * PAGE
        )


def raw_problems(study: Study, *, verify: bool) -> Found:
    """Each acknowledged instance: its raw object, and the one event that names it."""
    for row in study.acknowledged:
        problem = _raw_problem(study, row, verify=verify)
        if problem:
            yield "lost", problem, row.instance
        times = study.published.received[row.raw_digest]
        if times == 0:
            yield "lost", "received-event-missing", row.instance
        elif times > 1:
            yield "doubled", "received-event-twice", row.instance


def _raw_problem(study: Study, row: ReceivedInstanceRow, *, verify: bool) -> str:
    connections, bucket, key = study.connections, row.bucket or "", row.object_key or ""
    if connections.objects.head(bucket, key) is None:
        return "raw-object-missing"
    if not verify:
        return ""
    try:
        digest = connections.pseudonyms(study.site).raw_digest(connections.sealed.digest(bucket, key))
    except (ObjectMissingError, DeadLetterError):
        return "raw-object-unreadable"
    return "" if digest == row.raw_digest else "raw-object-altered"


def clean_problems(study: Study) -> Found:
    """Each acknowledged instance that was not refused: de-identified, in a row, with its object."""
    rows: dict[str, list[StudyInstanceRow]] = {}
    for row in study.instances():
        rows.setdefault(row.instance, []).append(row)
    for told in study.acknowledged:
        if told.raw_digest in study.published.refused:
            continue
        if told.instance not in study.published.deidentified:
            yield "lost", "deidentified-event-missing", told.instance
        elif told.instance not in rows:
            yield "lost", "instance-row-missing", told.instance
    for instance, versions in rows.items():
        for row in versions:
            if study.connections.objects.head(row.bucket or "", row.object_key or "") is None:
                yield "lost", "clean-object-missing", instance


def study_problems(study: Study, places: int) -> Found:
    """The study itself: all of it in its revision, a result, and one place in the worklist."""
    key = {"site": study.site, "study": study.study}
    assembly = study.connections.tables.get(StudyAssemblyRow, **key)
    row = study.connections.tables.get(StudyRow, **key)
    if assembly is None or row is None or row.revision is None:
        yield "lost", "study-row-missing", ""
        return
    expected = set(json.loads(assembly.instances or "{}"))
    if not study.published.deidentified <= expected:
        yield "lost", "instance-not-assembled", ""
    elif row.revision != assembly.revision or row.instance_count != len(expected):
        yield "lost", "study-row-behind", ""
    if not study.published.results:
        yield "lost", "result-missing", ""
    elif row.result_status is None or row.urgency is None:
        yield "lost", "result-row-missing", ""
    found = places + (row.review_status == "signed")
    if found == 0:
        yield "lost", "worklist-row-missing", ""
    elif found > 1:
        yield "doubled", "worklist-row-twice", ""


def result_problems(study: Study) -> Found:
    """Each result once, with its record and an overlay of every image that it read."""
    for (revision, *_), times in study.published.repeated.items():
        if times > 1:
            yield "doubled", "result-twice", str(revision)
    folder = f"{study.site}/{study.study}"
    objects, tables = study.connections.objects, study.connections.tables
    for result in study.published.results:
        if objects.head(RESULTS, f"{folder}/{result.revision}/result-{result.result_id}.json") is None:
            yield "lost", "result-record-missing", result.result_id
        for instance in result.drawn:
            row = tables.get(
                ResultImageRow,
                site=study.site,
                study=study.study,
                revision=result.revision,
                instance=instance,
            )
            if row is None or objects.head(row.bucket or "", row.overlay_key or "") is None:
                yield "lost", "overlay-missing", instance


def alert_problems(study: Study) -> Found:
    """Each alert that a score asks for was raised, and a person was told where the site has an address for it."""
    for wanted in sorted(study.published.due - study.published.raised.keys()):
        yield "lost", "alert-not-raised", " ".join(wanted)
    if not study.connections.settings.site(study.site).webhook_url:
        return
    for alert in sorted(study.published.raised.values()):
        delivery = study.connections.tables.get(
            AlertDeliveryRow, site=study.site, alert_id=alert, channel="webhook"
        )
        if delivery is None or delivery.status != "delivered":
            yield "lost", "alert-not-delivered", alert


def _received_rows(connections: Connections, site: str, study: str) -> tuple[ReceivedInstanceRow, ...]:
    found: list[ReceivedInstanceRow] = []
    after: Sequence[str] | None = None
    while True:
        page = connections.tables.select(ReceivedInstanceRow, site=site, study=study, limit=PAGE, after=after)
        found += page
        if len(page) < PAGE:
            return tuple(found)
        after = (page[-1].instance, page[-1].raw_digest)


def _listed(connections: Connections, sites: Sequence[str]) -> Counter[tuple[str, str]]:
    """Places of each study in the worklist."""
    listed: Counter[tuple[str, str]] = Counter()
    for site in sites:
        for shard in range(WORKLIST_SHARDS):
            rows = connections.tables.select(WorklistItemRow, site=site, shard=shard, limit=100 * PAGE)
            listed.update((site, row.study) for row in rows)
    return listed


def _known(connections: Connections, sites: Sequence[str], days: Sequence[str]) -> Iterable[tuple[str, str]]:
    """Site and key of every study received on the days, once."""
    return dict.fromkeys(
        (site, row.study)
        for site in sites
        for day in days
        for row in connections.tables.select(ReceivedStudyRow, site=site, day=day, limit=100 * PAGE)
    )


def reconcile(connections: Connections, sites: Sequence[str], extent: Extent) -> Report:
    """Compare what senders of the sites were told with everything there is."""
    log = gather(connections)
    listed = _listed(connections, sites)
    young = connections.clock.now() - int(extent.grace_s * MICROSECONDS)
    problems: list[Problem] = []
    studies, instances = 0, 0
    for site, key in _known(connections, sites, extent.days):
        received = _received_rows(connections, site, key)
        study = Study(connections, site, key, received, log.get((site, key), Published()))
        studies += 1
        instances += len(study.acknowledged)
        pending = max((row.received_at or 0 for row in received), default=0) > young
        for kind, what, subject in (
            *raw_problems(study, verify=extent.verify),
            *clean_problems(study),
            *study_problems(study, listed[site, key]),
            *result_problems(study),
            *alert_problems(study),
        ):
            told = "pending" if pending and kind == "lost" else kind
            problems.append(Problem(told, what, site, key, subject))
    return Report(studies, instances, tuple(sorted(problems)))
