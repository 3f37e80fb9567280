"""One study: images, findings, review, alerts, and who it is about."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from portal_api.identity import Person
from portal_api.services.access import MissingError
from portal_api.services.findings import FindingView, finding_views
from portal_api.services.patients import UNKNOWN, PatientView, identify
from portal_api.services.ranking import PENDING
from portal_api.services.reviews import ReviewView, review_view
from portal_api.services.series import SeriesView, series_views
from portal_api.services.trace import HopView, stages
from portal_api.storage import studies as storage
from runtime.connections import Connections
from schemas.rows import AlertRow, StudyRow


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultView:
    """What the AI said of the study as a whole, and what said it."""

    status: str
    """`analysed`, `not-analysed`, `undetermined`, or `pending`."""
    revision: int | None
    outdated: bool
    """The result is of an earlier revision than the study now has."""
    reason: str
    model: str
    model_version: str
    model_digest: str
    backend: str
    demonstration: bool
    synthetic: bool
    urgency: str
    weight: float | None
    rule: str
    rule_version: str
    rule_reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyAlertView:
    """An alert of the study. Times are UTC microseconds."""

    alert_id: str
    version: int
    state: str
    alert_class: str
    finding: str
    raised_at: int | None
    acknowledged_by: str
    acknowledged_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyView:
    """A study page. Times are UTC microseconds."""

    study: str
    site: str
    revision: int
    status: str
    evidence: str
    received_at: int | None
    ordered_priority: str
    modality: str
    body_part: str
    instance_count: int
    quarantined_count: int
    conflict_count: int
    result: ResultView
    findings: tuple[FindingView, ...]
    series: tuple[SeriesView, ...]
    inputs: tuple[str, ...]
    """SHA-256 of each de-identified image, sorted."""
    review: ReviewView
    alerts: tuple[StudyAlertView, ...]
    stages: tuple[HopView, ...]
    patient: PatientView = UNKNOWN
    etag: str = ""


def read_study(connections: Connections, person: Person, study: str) -> StudyView:
    """Read a study of the person's site without the name; raises MissingError."""
    tables, site = connections.tables, person.site
    row = storage.study(tables, site, study)
    if row is None:
        raise MissingError("study")
    instances = storage.instances(tables, site, study)
    review = review_view(storage.review(tables, site, study), person.user, row.revision or 0)
    current = review.revision >= (row.revision or 0)
    findings = storage.findings(tables, site, study, row.result_revision or 0)
    overlays = storage.result_images(tables, site, study)
    page = StudyView(
        study=study,
        site=site,
        revision=row.revision or 0,
        status=row.status or "",
        evidence=row.evidence or "",
        received_at=row.received_at,
        ordered_priority=row.ordered_priority or "unknown",
        modality=row.modality or "",
        body_part=row.body_part or "unknown",
        instance_count=row.instance_count or len(instances),
        quarantined_count=row.quarantined_count or 0,
        conflict_count=row.conflict_count or 0,
        result=result_view(row),
        findings=finding_views(findings, review.decisions if current else ()),
        series=series_views(instances, overlays),
        inputs=tuple(sorted({instance.digest for instance in instances})),
        review=review,
        alerts=tuple(alert_view(alert) for alert in storage.alerts(tables, site, study)),
        stages=stages(storage.hops(tables, site, study), row.received_at),
    )
    return replace(page, etag=f'"{hashlib.sha256(repr(page).encode()).hexdigest()[:24]}"')


def with_name(connections: Connections, person: Person, page: StudyView) -> StudyView:
    """Put the patient's name in: one audited read."""
    return replace(page, patient=identify(connections, person, [page.study]).get(page.study, UNKNOWN))


def result_view(row: StudyRow) -> ResultView:
    """Turn the study's result columns into what the page shows; no result yet is a state of its own."""
    return ResultView(
        status=row.result_status or PENDING,
        revision=row.result_revision,
        outdated=row.result_revision is not None and row.result_revision < (row.revision or 0),
        reason=row.result_reason or "",
        model=row.model or "",
        model_version=row.model_version or "",
        model_digest=row.model_digest or "",
        backend=row.backend or "",
        demonstration=bool(row.demonstration),
        synthetic=bool(row.synthetic),
        urgency=row.urgency or PENDING,
        weight=row.weight,
        rule=row.rule or "",
        rule_version=row.rule_version or "",
        rule_reason=row.reason or "",
    )


def alert_view(row: AlertRow) -> StudyAlertView:
    """Turn a row into what the page shows."""
    return StudyAlertView(
        alert_id=row.alert_id,
        version=row.version or 0,
        state=row.state or "",
        alert_class=row.alert_class or "",
        finding=row.finding or "",
        raised_at=row.raised_at,
        acknowledged_by=row.acknowledged_by or "",
        acknowledged_at=row.acknowledged_at,
    )
