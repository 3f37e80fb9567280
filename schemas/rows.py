"""Every table as a frozen dataclass, equal column by column to `tables.cql` (held by a test).

A row's `TABLE` names its partition key, clustering and, column by column, who writes it and how: `timestamp` columns take plain
writes with the time of the decision (last write wins), `cas` columns change by compare-and-set only. Times are UTC microseconds.
A column that may never have been written is `None`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from schemas.tables import Clustering, TableSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedInstanceRow:
    """The gateways' own record: what was stored, and whether its event is known to be published. Decides duplicates."""

    TABLE: ClassVar[TableSpec] = TableSpec(
        name="received_instances",
        partition=(
            "site",
            "study",
        ),
        clustering=(
            Clustering("instance", descending=False),
            Clustering("raw_digest", descending=False),
        ),
        cas=frozenset(
            {
                "series",
                "bucket",
                "object_key",
                "size",
                "sop_class_uid",
                "transfer_syntax_uid",
                "gateway",
                "ordered_priority",
                "received_at",
                "chunk",
                "correlation_id",
            }
        ),
        writer="producers.ingest",
    )

    site: str
    study: str
    instance: str
    raw_digest: str
    series: str | None = None
    bucket: str | None = None
    object_key: str | None = None
    size: int | None = None
    sop_class_uid: str | None = None
    transfer_syntax_uid: str | None = None
    gateway: str | None = None
    ordered_priority: str | None = None
    received_at: int | None = None
    chunk: str | None = None
    correlation_id: str | None = None
    published_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedStudyRow:
    """Studies a site sent on a day (UTC)."""

    TABLE: ClassVar[TableSpec] = TableSpec(
        name="received_studies",
        partition=(
            "site",
            "day",
        ),
        clustering=(Clustering("study", descending=False),),
        writer="producers.ingest",
    )

    site: str
    day: str
    study: str
    received_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultEntryRow:
    """Identity behind a pseudonym, encrypted (AES-256-GCM)."""

    TABLE: ClassVar[TableSpec] = TableSpec(
        name="vault_entries",
        partition=(
            "site",
            "subject",
        ),
        clustering=(),
        writer="runtime.vault",
    )

    site: str
    subject: str
    key_id: str | None = None
    ciphertext: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyAssemblyRow:
    """The study's set of instances and its revision, decided by compare-and-set."""

    TABLE: ClassVar[TableSpec] = TableSpec(
        name="study_assemblies",
        partition=(
            "site",
            "study",
        ),
        clustering=(),
        cas=frozenset(
            {
                "version",
                "revision",
                "status",
                "instances",
                "quarantined",
                "conflicts",
                "evidence",
                "ordered_priority",
                "received_at",
                "changed_at",
                "history",
            }
        ),
        writer="steps.assemble_study",
    )

    site: str
    study: str
    version: int | None = None
    revision: int | None = None
    status: str | None = None
    instances: str | None = None
    quarantined: str | None = None
    conflicts: str | None = None
    evidence: str | None = None
    ordered_priority: str | None = None
    received_at: int | None = None
    changed_at: int | None = None
    history: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyInstanceRow:
    """A study's de-identified instances."""

    TABLE: ClassVar[TableSpec] = TableSpec(
        name="study_instances",
        partition=(
            "site",
            "study",
        ),
        clustering=(
            Clustering("instance", descending=False),
            Clustering("digest", descending=False),
        ),
        writer="steps.assemble_study",
    )

    site: str
    study: str
    instance: str
    digest: str
    series: str | None = None
    bucket: str | None = None
    object_key: str | None = None
    size: int | None = None
    sop_class_uid: str | None = None
    transfer_syntax_uid: str | None = None
    modality: str | None = None
    body_part: str | None = None
    view_position: str | None = None
    age_band: str | None = None
    patient_sex: str | None = None
    rows: int | None = None
    columns: int | None = None
    number_of_frames: int | None = None
    photometric_interpretation: str | None = None
    synthetic: bool | None = None
    pixels_at_risk: str | None = None
    boxes_blanked: int | None = None
    received_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelResultRow:
    """Raw outputs per instance, so that a late image's result joins the earlier ones."""

    TABLE: ClassVar[TableSpec] = TableSpec(
        name="model_results",
        partition=(
            "site",
            "study",
        ),
        clustering=(
            Clustering("model", descending=False),
            Clustering("revision", descending=False),
            Clustering("instance", descending=False),
        ),
        writer="steps.publish_findings",
    )

    site: str
    study: str
    model: str
    revision: int
    instance: str
    result: str | None = None
    model_version: str | None = None
    model_digest: str | None = None
    backend: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRow:
    """One study as the portal shows it."""

    TABLE: ClassVar[TableSpec] = TableSpec(
        name="studies",
        partition=(
            "site",
            "study",
        ),
        clustering=(),
        writer="sinks.tables",
    )

    site: str
    study: str
    revision: int | None = None
    status: str | None = None
    evidence: str | None = None
    received_at: int | None = None
    ordered_priority: str | None = None
    modality: str | None = None
    body_part: str | None = None
    instance_count: int | None = None
    quarantined_count: int | None = None
    conflict_count: int | None = None
    result_revision: int | None = None
    result_status: str | None = None
    result_reason: str | None = None
    model: str | None = None
    model_version: str | None = None
    model_digest: str | None = None
    backend: str | None = None
    demonstration: bool | None = None
    synthetic: bool | None = None
    urgency: str | None = None
    weight: float | None = None
    reason: str | None = None
    rule: str | None = None
    rule_version: str | None = None
    review_status: str | None = None
    review_version: int | None = None
    claimed_by: str | None = None
    decisions: str | None = None
    signed_by: str | None = None
    signed_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingRow:
    """Findings per revision; immutable."""

    TABLE: ClassVar[TableSpec] = TableSpec(
        name="findings",
        partition=(
            "site",
            "study",
        ),
        clustering=(
            Clustering("revision", descending=True),
            Clustering("finding", descending=False),
        ),
        writer="sinks.tables",
    )

    site: str
    study: str
    revision: int
    finding: str
    result_id: str | None = None
    code_value: str | None = None
    coding_scheme: str | None = None
    code_meaning: str | None = None
    code_verified: bool | None = None
    probability: float | None = None
    threshold: float | None = None
    certainty: str | None = None
    series: str | None = None
    instance: str | None = None
    box: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultImageRow:
    """Overlay of an analysed image."""

    TABLE: ClassVar[TableSpec] = TableSpec(
        name="result_images",
        partition=(
            "site",
            "study",
        ),
        clustering=(
            Clustering("revision", descending=True),
            Clustering("instance", descending=False),
        ),
        writer="sinks.objects",
    )

    site: str
    study: str
    revision: int
    instance: str
    bucket: str | None = None
    overlay_key: str | None = None
    result_id: str | None = None
    digest: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultDocumentsRow:
    """DICOM objects of a result, and which result they take the place of; decided once."""

    TABLE: ClassVar[TableSpec] = TableSpec(
        name="result_documents",
        partition=(
            "site",
            "study",
        ),
        clustering=(Clustering("result_id", descending=False),),
        writer="sinks.documents",
    )

    site: str
    study: str
    result_id: str
    revision: int | None = None
    sequence: int | None = None
    predecessor: str | None = None
    made_at: int | None = None
    documents: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorklistItemRow:
    """Open studies only, sharded and bounded; the reader computes the time-dependent order."""

    TABLE: ClassVar[TableSpec] = TableSpec(
        name="worklist",
        partition=(
            "site",
            "shard",
        ),
        clustering=(Clustering("study", descending=False),),
        writer="sinks.tables",
    )

    site: str
    shard: int
    study: str
    received_at: int | None = None
    ordered_priority: str | None = None
    modality: str | None = None
    body_part: str | None = None
    instance_count: int | None = None
    revision: int | None = None
    status: str | None = None
    urgency: str | None = None
    weight: float | None = None
    finding: str | None = None
    probability: float | None = None
    rule: str | None = None
    reason: str | None = None
    scored_at: int | None = None
    demonstration: bool | None = None
    synthetic: bool | None = None
    claimed_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedStudyRow:
    """Signed studies by day (UTC)."""

    TABLE: ClassVar[TableSpec] = TableSpec(
        name="closed_studies",
        partition=(
            "site",
            "day",
        ),
        clustering=(
            Clustering("signed_at", descending=True),
            Clustering("study", descending=False),
        ),
        writer="sinks.tables",
    )

    site: str
    day: str
    signed_at: int
    study: str
    signed_by: str | None = None
    revision: int | None = None
    modality: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRow:
    """State of each alert, by compare-and-set."""

    TABLE: ClassVar[TableSpec] = TableSpec(
        name="alerts",
        partition=(
            "site",
            "study",
        ),
        clustering=(Clustering("alert_id", descending=False),),
        cas=frozenset(
            {
                "version",
                "revision",
                "state",
                "alert_class",
                "finding",
                "probability",
                "rule",
                "reason",
                "received_at",
                "raised_at",
                "acknowledged_at",
                "acknowledged_by",
                "command_id",
                "demonstration",
                "synthetic",
                "history",
            }
        ),
        writer="steps.raise_alerts",
    )

    site: str
    study: str
    alert_id: str
    version: int | None = None
    revision: int | None = None
    state: str | None = None
    alert_class: str | None = None
    finding: str | None = None
    probability: float | None = None
    rule: str | None = None
    reason: str | None = None
    received_at: int | None = None
    raised_at: int | None = None
    acknowledged_at: int | None = None
    acknowledged_by: str | None = None
    command_id: str | None = None
    demonstration: bool | None = None
    synthetic: bool | None = None
    history: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAlertRow:
    """Alerts nobody acknowledged yet."""

    TABLE: ClassVar[TableSpec] = TableSpec(
        name="open_alerts",
        partition=(
            "site",
            "shard",
        ),
        clustering=(Clustering("alert_id", descending=False),),
        writer="sinks.tables",
    )

    site: str
    shard: int
    alert_id: str
    study: str | None = None
    version: int | None = None
    alert_class: str | None = None
    finding: str | None = None
    probability: float | None = None
    rule: str | None = None
    reason: str | None = None
    received_at: int | None = None
    raised_at: int | None = None
    demonstration: bool | None = None
    synthetic: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedAlertRow:
    """Acknowledged alerts by day (UTC)."""

    TABLE: ClassVar[TableSpec] = TableSpec(
        name="closed_alerts",
        partition=(
            "site",
            "day",
        ),
        clustering=(
            Clustering("acknowledged_at", descending=True),
            Clustering("alert_id", descending=False),
        ),
        writer="sinks.tables",
    )

    site: str
    day: str
    acknowledged_at: int
    alert_id: str
    study: str | None = None
    finding: str | None = None
    acknowledged_by: str | None = None
    raised_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertDeliveryRow:
    """Last outcome per alert and channel."""

    TABLE: ClassVar[TableSpec] = TableSpec(
        name="alert_deliveries",
        partition=(
            "site",
            "alert_id",
        ),
        clustering=(Clustering("channel", descending=False),),
        writer="sinks.tables",
    )

    site: str
    alert_id: str
    channel: str
    study: str | None = None
    status: str | None = None
    attempts: int | None = None
    status_code: int | None = None
    idempotency_key: str | None = None
    delivered_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewRow:
    """A study's review, by compare-and-set."""

    TABLE: ClassVar[TableSpec] = TableSpec(
        name="reviews",
        partition=(
            "site",
            "study",
        ),
        clustering=(),
        cas=frozenset(
            {
                "version",
                "revision",
                "status",
                "claimed_by",
                "decisions",
                "signed_by",
                "signed_at",
                "command_id",
                "history",
            }
        ),
        writer="steps.review_study",
    )

    site: str
    study: str
    version: int | None = None
    revision: int | None = None
    status: str | None = None
    claimed_by: str | None = None
    decisions: str | None = None
    signed_by: str | None = None
    signed_at: int | None = None
    command_id: str | None = None
    history: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewOutcomeRow:
    """What became of a review command."""

    TABLE: ClassVar[TableSpec] = TableSpec(
        name="review_outcomes",
        partition=(
            "site",
            "command_id",
        ),
        clustering=(),
        writer="steps.review_study",
    )

    site: str
    command_id: str
    study: str | None = None
    outcome: str | None = None
    detail: str | None = None
    version: int | None = None
    at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertOutcomeRow:
    """What became of an alert command."""

    TABLE: ClassVar[TableSpec] = TableSpec(
        name="alert_outcomes",
        partition=(
            "site",
            "command_id",
        ),
        clustering=(),
        writer="steps.raise_alerts",
    )

    site: str
    command_id: str
    study: str | None = None
    outcome: str | None = None
    detail: str | None = None
    version: int | None = None
    at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceHopRow:
    """Every event of a study, with the time of its first publication."""

    TABLE: ClassVar[TableSpec] = TableSpec(
        name="trace_hops",
        partition=(
            "site",
            "study",
        ),
        clustering=(Clustering("event_id", descending=False),),
        writer="sinks.tables",
    )

    site: str
    study: str
    event_id: str
    recorded_at: int | None = None
    topic: str | None = None
    event: str | None = None
    producer: str | None = None
    revision: int | None = None
    causation_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlineRow:
    """Timers of the steps: an input that becomes due, acknowledged by deletion."""

    TABLE: ClassVar[TableSpec] = TableSpec(
        name="deadlines",
        partition=(
            "consumer",
            "shard",
        ),
        clustering=(
            Clustering("due_at", descending=False),
            Clustering("site", descending=False),
            Clustering("study", descending=False),
            Clustering("name", descending=False),
        ),
        writer="stream_processors.binding",
    )

    consumer: str
    shard: int
    due_at: int
    site: str
    study: str
    name: str
    payload: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantinedObjectRow:
    """Refused objects by day (UTC); rows are immutable and each writer has ids of its own."""

    TABLE: ClassVar[TableSpec] = TableSpec(
        name="quarantined_objects",
        partition=(
            "site",
            "day",
        ),
        clustering=(
            Clustering("quarantined_at", descending=True),
            Clustering("object_id", descending=False),
        ),
        writer="producers.ingest, steps.deidentify, steps.clean_pixels",
    )

    site: str
    day: str
    quarantined_at: int
    object_id: str
    component: str | None = None
    reason: str | None = None
    bucket: str | None = None
    object_key: str | None = None
    size: int | None = None
    study: str | None = None
    instance: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntryRow:
    """The audit topic, readable by day (UTC)."""

    TABLE: ClassVar[TableSpec] = TableSpec(
        name="audit_entries",
        partition=(
            "site",
            "day",
        ),
        clustering=(Clustering("event_id", descending=False),),
        writer="sinks.tables",
    )

    site: str
    day: str
    event_id: str
    recorded_at: int | None = None
    action: str | None = None
    actor: str | None = None
    actor_role: str | None = None
    purpose: str | None = None
    subjects: str | None = None
    outcome: str | None = None


ROW_TYPES = (
    ReceivedInstanceRow,
    ReceivedStudyRow,
    VaultEntryRow,
    StudyAssemblyRow,
    StudyInstanceRow,
    ModelResultRow,
    StudyRow,
    FindingRow,
    ResultImageRow,
    ResultDocumentsRow,
    WorklistItemRow,
    ClosedStudyRow,
    AlertRow,
    OpenAlertRow,
    ClosedAlertRow,
    AlertDeliveryRow,
    ReviewRow,
    ReviewOutcomeRow,
    AlertOutcomeRow,
    TraceHopRow,
    DeadlineRow,
    QuarantinedObjectRow,
    AuditEntryRow,
)
"""Every row class."""
