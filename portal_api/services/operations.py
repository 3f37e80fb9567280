"""How the system is doing: components, lag, what was refused, who used which power."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from portal_api.identity import Person
from portal_api.storage import operations as storage
from runtime.connections import Connections
from runtime.ports import Partition
from schemas.rows import AuditEntryRow, QuarantinedObjectRow
from schemas.tables import day_of
from schemas.topics import catalogue


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentView:
    """One process: `state` is `ready`, `not ready` or `no answer`."""

    component: str
    pid: int | None
    address: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LagView:
    """Records of a topic that a consumer group has not finished."""

    group: str
    topic: str
    records: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonView:
    """How many objects were refused today for one reason by one component."""

    reason: str
    component: str
    count: int
    newest_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditView:
    """One use of a power; the time is UTC microseconds."""

    at: int | None
    action: str
    actor: str
    actor_role: str
    purpose: str
    subjects: int
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationsView:
    """The operations page of a site: components and lag are the system's, the rest is the site's."""

    site: str
    profile: str
    components: tuple[ComponentView, ...]
    lag: tuple[LagView, ...]
    waiting: int
    quarantined: tuple[ReasonView, ...]
    audit: tuple[AuditView, ...]
    audit_total: int


AUDIT_SHOWN = 100
"""Rows: the newest uses; the count says how many there were."""


def read_operations(connections: Connections, person: Person) -> OperationsView:
    """Read everything the page shows."""
    day = day_of(connections.clock.now())
    found = storage.components(connections.settings.data)
    lag = lags(*storage.offsets(connections.log, groups([name for name, _ in found]), list(catalogue())))
    audit = audit_views(storage.audit_on(connections.tables, person.site, day))
    return OperationsView(
        site=person.site,
        profile=connections.settings.profile,
        components=tuple(component_view(name, about) for name, about in found),
        lag=lag,
        waiting=sum(entry.records for entry in lag),
        quarantined=reasons(storage.quarantined_on(connections.tables, person.site, day)),
        audit=audit[:AUDIT_SHOWN],
        audit_total=len(audit),
    )


def groups(members: list[str]) -> list[str]:
    """Return the consumer groups of processes: instances of a component (`infer-2`) share the component's group."""
    return sorted({member.partition("-")[0] for member in members})


def component_view(name: str, about: Mapping[str, object]) -> ComponentView:
    """Turn what a process wrote of itself, and whether it answers, into what the page shows."""
    pid = about.get("pid")
    return ComponentView(
        component=name,
        pid=pid if isinstance(pid, int) else None,
        address=str(about.get("address") or ""),
        state={200: "ready", None: "no answer"}.get(
            storage.readiness(str(about.get("health") or "")), "not ready"
        ),
    )


def lags(
    ends: Mapping[Partition, int], committed: Mapping[str, Mapping[Partition, int]]
) -> tuple[LagView, ...]:
    """Subtract what each group has committed from end offsets, by the topics of which it has ever committed anything."""
    return tuple(
        LagView(
            group=group,
            topic=topic,
            records=sum(max(end - offsets[part], 0) for part, end in ends.items() if part[0] == topic),
        )
        for group, offsets in sorted(committed.items())
        for topic in sorted({part[0] for part, offset in offsets.items() if offset})
    )


def reasons(rows: list[QuarantinedObjectRow]) -> tuple[ReasonView, ...]:
    """Count refused objects by reason and component, the commonest first."""
    counts = Counter((row.reason or "unknown", row.component or "") for row in rows)
    newest: dict[tuple[str, str], int] = {}
    for row in rows:
        key = (row.reason or "unknown", row.component or "")
        newest[key] = max(newest.get(key, 0), row.quarantined_at)
    return tuple(
        ReasonView(reason=key[0], component=key[1], count=count, newest_at=newest[key])
        for key, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    )


def audit_views(rows: list[AuditEntryRow]) -> tuple[AuditView, ...]:
    """Turn audit rows into what the page shows, newest first; subjects are counted, not listed."""
    views = (
        AuditView(
            at=row.recorded_at,
            action=row.action or "",
            actor=row.actor or "",
            actor_role=row.actor_role or "",
            purpose=row.purpose or "",
            subjects=len(json.loads(row.subjects or "[]")),
            outcome=row.outcome or "",
        )
        for row in rows
    )
    return tuple(sorted(views, key=lambda view: -(view.at or 0)))
