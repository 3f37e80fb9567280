"""What became of everything that senders were told is safe: raw reads of objects, log, tables and the receiver's file.

Each function returns sentences that say what is lost or doubled; an empty list is the verdict "nothing".
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from cli.components import consumers
from runtime import buckets
from runtime.errors import DeadLetterError
from runtime.ports import ObjectMissingError
from schemas.events import (
    AlertDelivery,
    AlertState,
    Event,
    Findings,
    InferenceCompleted,
    InstanceDeidentified,
    InstanceReceived,
    ReceivedInstance,
    RiskScored,
    StudyInstance,
    StudyState,
)
from schemas.rows import AlertDeliveryRow, ResultImageRow, StudyInstanceRow, StudyRow, WorklistItemRow
from schemas.tables import WORKLIST_SHARDS
from schemas.topics import dead_letter_topic
from tests.support.senders import Acknowledged, Ledger
from tests.support.system import System

E = TypeVar("E", bound=Event)
PATH: dict[str, type[Event]] = {
    "instance.received.v1": InstanceReceived,
    "instance.deidentified.v1": InstanceDeidentified,
    "instance.uncleaned.v1": InstanceReceived,
    "instance.cleaned.v1": InstanceDeidentified,
    "study.state.v1": StudyState,
    "inference.completed.v1": InferenceCompleted,
    "findings.v1": Findings,
    "risk.scored.v1": RiskScored,
    "alerts.v1": AlertState,
    "alert.deliveries.v1": AlertDelivery,
}
"""Topics of a study's way and what they hold."""
HOPS = (
    ("instance.received.v1", "instance.deidentified.v1"),
    ("instance.received.v1", "instance.uncleaned.v1"),
    ("instance.uncleaned.v1", "instance.cleaned.v1"),
    ("inference.completed.v1", "findings.v1"),
    ("findings.v1", "risk.scored.v1"),
    ("risk.scored.v1", "alerts.v1"),
)
"""Topics of which the second holds what events of the first caused, among others."""


@dataclass(frozen=True)
class Evidence:
    """Everything that was read, once the system stood still.

    Parameters
    ----------
    system
        The run.
    ledger
        What senders were told.
    log
        Per topic, each event once; repetitions were compared and dropped.
    unequal
        Events of which two copies differ in more than the time of publication.
    """

    system: System
    ledger: Ledger
    log: dict[str, tuple[Event, ...]]
    unequal: tuple[str, ...]

    def of(self, topic: str, kind: type[E]) -> list[E]:
        """A topic's events, each once."""
        return [event for event in self.log[topic] if isinstance(event, kind)]

    @property
    def acknowledged(self) -> dict[tuple[str, str], Acknowledged]:
        """Each instance that a success answer named, by site and SOP Instance UID."""
        return {(each.site, each.sop_instance_uid): each for each in self.ledger.acknowledged}


def gather(system: System, ledger: Ledger) -> Evidence:
    """Read the log."""
    log, unequal = {}, []
    for topic, kind in PATH.items():
        once: dict[str, Event] = {}
        for event in system.events(topic, kind):
            known = once.setdefault(event.envelope.event_id, event)
            if _timeless(known) != _timeless(event):
                unequal.append(f"{topic}: two different events {event.envelope.event_id}")
        log[topic] = tuple(once.values())
    return Evidence(system, ledger, log, tuple(unequal))


def _timeless(event: Event) -> Event:
    """An event without processing times, its own and its ancestors': work that is done again is done later."""
    bare = replace(event, envelope=replace(event.envelope, occurred_at=0, recorded_at=0, hops=()))
    return replace(bare, delivered_at=0) if isinstance(bare, AlertDelivery) else bare


def judge(evidence: Evidence) -> list[str]:
    """Everything lost or doubled."""
    return sorted(
        {
            *evidence.unequal,
            *instances(evidence),
            *strangers(evidence),
            *studies(evidence),
            *results(evidence),
            *overlays(evidence),
            *alerts(evidence),
            *refused(evidence),
            *disordered(evidence),
        }
    )


def instances(evidence: Evidence) -> Iterator[str]:
    """Each acknowledged instance: raw object, one received event, one clean object, one row."""
    system = evidence.system
    received = _by_instance(evidence.of("instance.received.v1", InstanceReceived))
    cleaned = _by_instance(
        event
        for topic in ("instance.deidentified.v1", "instance.cleaned.v1")
        for event in evidence.of(topic, InstanceDeidentified)
    )
    clean_keys = Counter(key.rsplit("/", 2)[-2] for key in system.keys(buckets.CLEAN))
    for (site, uid), told in evidence.acknowledged.items():
        instance, study = system.instance_key(site, uid), system.study_key(site, told.study_uid)
        name = f"{site}/{study}/{instance}"
        for what, found in (
            ("received", received[site, study, instance]),
            ("deidentified", cleaned[site, study, instance]),
        ):
            if len(found) != 1:
                yield f"{name}: {len(found)} {what} events"
        for reference in received[site, study, instance]:
            if (
                isinstance(reference, ReceivedInstance)
                and _raw(system, site, study, reference) != told.sha256
            ):
                yield f"{name}: the raw object is not what was acknowledged"
        for reference in cleaned[site, study, instance]:
            if isinstance(reference, StudyInstance) and not _is_clean(system, reference):
                yield f"{name}: the clean object is missing or altered"
        if clean_keys[instance] != 1:
            yield f"{name}: {clean_keys[instance]} clean objects"
        rows = system.rows(StudyInstanceRow, site=site, study=study, instance=instance)
        if len(rows) != 1:
            yield f"{name}: {len(rows)} instance rows"


def _by_instance(
    events: Iterable[InstanceReceived | InstanceDeidentified],
) -> dict[tuple[str, str, str], list[ReceivedInstance | StudyInstance]]:
    found: dict[tuple[str, str, str], list[ReceivedInstance | StudyInstance]] = defaultdict(list)
    for event in events:
        for each in event.instances:
            found[event.envelope.site, event.envelope.study, each.instance].append(each)
    return found


def _raw(system: System, site: str, study: str, reference: ReceivedInstance) -> bytes:
    """Digest of the decrypted raw object, empty where there is none that opens."""
    sealed = system.connections.sealed
    try:
        data = sealed.read(reference.bucket, reference.object_key, site=site, study=study, purpose="verify")
    except (ObjectMissingError, DeadLetterError):
        return b""
    return hashlib.sha256(data).digest()


def _is_clean(system: System, reference: StudyInstance) -> bool:
    try:
        data = system.connections.objects.get(reference.bucket, reference.object_key)
    except ObjectMissingError:
        return False
    return hashlib.sha256(data).hexdigest() == reference.digest


def strangers(evidence: Evidence) -> Iterator[str]:
    """Nothing goes on that no sender was told of."""
    system = evidence.system
    told = {(site, system.instance_key(site, uid)) for site, uid in evidence.acknowledged}
    for event in evidence.of("instance.received.v1", InstanceReceived):
        for each in event.instances:
            if (event.envelope.site, each.instance) not in told:
                yield f"{event.envelope.site}/{each.instance}: received, though nobody was told so"


def studies(evidence: Evidence) -> Iterator[str]:
    """Each study: its count of instances, complete in its last revision, one place in the worklist."""
    system = evidence.system
    counts = Counter((told.site, told.study_uid) for told in evidence.acknowledged.values())
    listed = Counter(
        (site.name, row.study)
        for site in system.settings.sites
        for shard in range(WORKLIST_SHARDS)
        for row in system.rows(WorklistItemRow, site=site.name, shard=shard)
    )
    states = evidence.of("study.state.v1", StudyState)
    completed = Counter(
        (each.envelope.site, each.envelope.study, each.revision)
        for each in states
        if each.status == "complete"
    )
    for (site, uid), count in counts.items():
        study = system.study_key(site, uid)
        name = f"{site}/{study}"
        row = system.row(StudyRow, site=site, study=study)
        if row is None:
            yield f"{name}: no study row"
            continue
        if row.instance_count != count:
            yield f"{name}: {row.instance_count} instances in the study row, {count} acknowledged"
        if row.status != "complete" or completed[site, study, row.revision or 0] != 1:
            yield f"{name}: revision {row.revision} is {row.status}, completed {completed[site, study, row.revision or 0]} times"
        if listed[site, study] != 1:
            yield f"{name}: {listed[site, study]} worklist rows"
    known = {(site, system.study_key(site, uid)) for site, uid in counts}
    yield from (
        f"{'/'.join(stranger)}: in the worklist, though nobody sent it" for stranger in listed.keys() - known
    )


def results(evidence: Evidence) -> Iterator[str]:
    """Each revision one result, the last one there; X-rays read, series said not to be; risk scored once for each."""
    system = evidence.system
    found: dict[tuple[str, str], dict[int, list[Findings]]] = defaultdict(lambda: defaultdict(list))
    for event in evidence.of("findings.v1", Findings):
        found[event.envelope.site, event.envelope.study][event.revision].append(event)
    scored = Counter(event.result_id for event in evidence.of("risk.scored.v1", RiskScored))
    records = Counter(key.rsplit("/", 1)[-1] for key in system.keys(buckets.RESULTS) if "/result-" in key)
    for sent in evidence.ledger.sent:
        study = system.study_key(sent.site, sent.study_uid)
        name, revisions = f"{sent.site}/{study}", found[sent.site, study]
        row = system.row(StudyRow, site=sent.site, study=study)
        if row is None or (row.revision or 0) not in revisions or row.result_revision != row.revision:
            yield f"{name}: no result of the last revision"
        expected = "analysed" if sent.kind == "xray" else "not-analysed"
        for revision, told in revisions.items():
            if len(told) != 1 or len({each.result_id for each in told}) != 1:
                yield f"{name}: {len(told)} results of revision {revision}"
            if told[0].status != expected:
                yield f"{name}: {told[0].status} ({told[0].reason_code}) instead of {expected}"
            if scored[told[0].result_id] != 1:
                yield f"{name}: revision {revision} scored {scored[told[0].result_id]} times"
            if records[f"result-{told[0].result_id}.json"] != 1:
                yield f"{name}: {records[f'result-{told[0].result_id}.json']} result records of revision {revision}"


def overlays(evidence: Evidence) -> Iterator[str]:
    """Each X-ray one overlay, in a row and in the store."""
    system = evidence.system
    for sent in evidence.ledger.sent:
        if sent.kind != "xray":
            continue
        study = system.study_key(sent.site, sent.study_uid)
        rows = system.rows(ResultImageRow, site=sent.site, study=study)
        keys = {row.overlay_key for row in rows}
        if (
            len(rows) != 1
            or {key for key in system.keys(buckets.RESULTS, f"{sent.site}/{study}/") if "/overlay-" in key}
            != keys
        ):
            yield f"{sent.site}/{study}: {len(rows)} overlay rows, or an object without a row"


def alerts(evidence: Evidence) -> Iterator[str]:
    """Each study that shows it: raised once, delivered under one Idempotency-Key, and nobody else paged."""
    system = evidence.system
    wanted = {
        (sent.site, system.study_key(sent.site, sent.study_uid))
        for sent in evidence.ledger.sent
        if sent.alerting
    }
    raised = Counter(
        (event.envelope.site, event.envelope.study)
        for event in evidence.of("alerts.v1", AlertState)
        if event.state == "raised"
    )
    delivered: dict[tuple[str, str], set[str]] = defaultdict(set)
    for each in system.deliveries():
        delivered[each["site"], each["study"]].add(each["key"])
    for study in wanted | raised.keys() | delivered.keys():
        should = int(study in wanted)
        if (raised[study], len(delivered[study])) != (should, should):
            yield f"{'/'.join(study)}: {should} alerts due, {raised[study]} raised, {len(delivered[study])} delivered"
    for event in evidence.of("alerts.v1", AlertState):
        row = system.row(
            AlertDeliveryRow, site=event.envelope.site, alert_id=event.alert_id, channel="webhook"
        )
        if row is None or row.status != "delivered":
            yield f"{event.envelope.site}/{event.envelope.study}: no row says that its alert was delivered"


def disordered(evidence: Evidence) -> Iterator[str]:
    """Order per study is kept: what events caused comes in their order, and revisions rise; repetitions do not count."""
    for before, after in HOPS:
        places = {event.envelope.event_id: place for place, event in enumerate(evidence.log[before])}
        last: dict[tuple[str, str], int] = {}
        for event in evidence.log[after]:
            study = (event.envelope.site, event.envelope.study)
            place = places.get(event.envelope.causation_id)
            if place is None:  # findings may come of what was skipped, too
                continue
            if place < last.get(study, place):
                yield f"{'/'.join(study)}: {after} is not in the order of {before}"
            last[study] = max(place, last.get(study, 0))
    revisions: dict[tuple[str, str], int] = {}
    for state in evidence.of("study.state.v1", StudyState):
        study = (state.envelope.site, state.envelope.study)
        if state.revision < revisions.get(study, 0):
            yield f"{'/'.join(study)}: revision {state.revision} after {revisions[study]}"
        revisions[study] = max(state.revision, revisions.get(study, 0))


def refused(evidence: Evidence) -> Iterator[str]:
    """Nothing was given up."""
    system = evidence.system
    for consumer in consumers():
        if count := len(system.records(dead_letter_topic(consumer))):
            yield f"{consumer}: {count} dead letters"
    if kept := system.keys(buckets.QUARANTINE):
        yield f"{len(kept)} objects in quarantine"
