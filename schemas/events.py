"""Every event as a frozen dataclass, equal field by field to its schema in `avro/` (held by a test).

Times are UTC microseconds since 1970 as integers. `Event` is the union of all events.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One stage that an event's ancestors passed, with its time."""

    name: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What every event says about itself. Carries no DICOM date and no DICOM identifier."""

    event_id: str
    site: str
    study: str
    key_id: str
    occurred_at: int
    recorded_at: int
    correlation_id: str
    causation_id: str
    producer: str
    producer_version: str
    hops: tuple[Hop, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedInstance:
    """Reference to one stored raw instance."""

    series: str
    instance: str
    bucket: str
    object_key: str
    size: int
    raw_digest: str
    sop_class_uid: str
    transfer_syntax_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyInstance:
    """Reference to one de-identified instance with its coded, allow-listed context."""

    series: str
    instance: str
    bucket: str
    object_key: str
    size: int
    digest: str
    sop_class_uid: str
    transfer_syntax_uid: str
    modality: str
    body_part: str
    view_position: str
    age_band: str
    patient_sex: str
    rows: int
    columns: int
    number_of_frames: int
    photometric_interpretation: str
    synthetic: bool
    pixels_at_risk: str
    boxes_blanked: int = 0
    received_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantinedInstance:
    """An instance that a step refused; its raw object stays encrypted."""

    instance: str
    raw_digest: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceReference:
    """Reference to one de-identified instance that a model shall read."""

    series: str
    instance: str
    bucket: str
    object_key: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """Rectangle in the pixels of the original image."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """Closed line round one part of a marked region."""

    pixels: tuple[float, ...]
    patient: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One measured quantity of a finding."""

    name: str
    value: float
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelOutput:
    """What the network said of one label on one image, before calibration."""

    label: str
    logit: float
    box: Box | None = None
    box_patient: tuple[float, ...] = ()
    outlines: tuple[Outline, ...] = ()
    measurements: tuple[Measurement, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceResult:
    """A model's outputs on one instance."""

    series: str
    instance: str
    bucket: str
    object_key: str
    digest: str
    status: str
    reason: str
    outputs: tuple[LabelOutput, ...]
    activation_bucket: str
    activation_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One calibrated, coded finding."""

    finding: str
    code_value: str
    coding_scheme: str
    code_meaning: str
    code_verified: bool
    probability: float
    threshold: float
    certainty: str
    series: str
    instance: str
    box: Box | None = None
    measurements: tuple[Measurement, ...] = ()
    box_patient: tuple[float, ...] = ()
    outlines: tuple[Outline, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultImage:
    """An image that contributed to a result."""

    series: str
    instance: str
    bucket: str
    object_key: str
    digest: str
    activation_bucket: str
    activation_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDocument:
    """One DICOM object of a result."""

    kind: str
    instance: str
    sop_class_uid: str
    bucket: str
    object_key: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingDecision:
    """What a reader said of one finding."""

    finding: str
    decision: str
    actor: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceReceived:
    """Instances of one study were received, stored, verified, and are safe."""

    envelope: Envelope
    gateway: str
    received_at: int
    ordered_priority: str
    instances: tuple[ReceivedInstance, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceDeidentified:
    """Instances of one study were de-identified, or refused with a reason."""

    envelope: Envelope
    ordered_priority: str
    instances: tuple[StudyInstance, ...]
    quarantined: tuple[QuarantinedInstance, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyState:
    """The study's set of instances, as decided once for this revision."""

    envelope: Envelope
    revision: int
    status: str
    evidence: str
    received_at: int
    ordered_priority: str
    instance_count: int
    instances_digest: str
    quarantined_count: int
    conflict_count: int
    modalities: tuple[str, ...]
    body_part: str
    added: tuple[StudyInstance, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceRequested:
    """A model shall read these instances."""

    envelope: Envelope
    revision: int
    received_at: int
    ordered_priority: str
    model: str
    model_version: str
    modality: str
    body_part: str
    synthetic: bool
    instances: tuple[InstanceReference, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceSkipped:
    """No model reads this study: said, with the reason, so that silence never looks like `normal`."""

    envelope: Envelope
    revision: int
    received_at: int
    ordered_priority: str
    reason_code: str
    reason: str
    modality: str
    body_part: str
    instance_count: int
    synthetic: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceCompleted:
    """A model's raw outputs on a revision's instances."""

    envelope: Envelope
    revision: int
    received_at: int
    ordered_priority: str
    model: str
    model_version: str
    model_digest: str
    backend: str
    modality: str
    body_part: str
    synthetic: bool
    demonstration: bool
    results: tuple[InstanceResult, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """The public result of one revision: calibrated and coded, `undetermined` and `not-analysed` included."""

    envelope: Envelope
    revision: int
    received_at: int
    ordered_priority: str
    result_id: str
    status: str
    reason_code: str
    reason: str
    model: str
    model_version: str
    model_digest: str
    calibration_version: str
    backend: str
    demonstration: bool
    synthetic: bool
    modality: str
    body_part: str
    inputs_digest: str
    findings: tuple[Finding, ...]
    images: tuple[ResultImage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentsStored:
    """A result was made into DICOM objects, which stand in the results bucket."""

    envelope: Envelope
    revision: int
    result_id: str
    predecessor: str
    made_at: int
    instances: tuple[str, ...]
    documents: tuple[StoredDocument, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskScored:
    """Where the study stands in the reading order, and why. AI raises a priority, never lowers one."""

    envelope: Envelope
    revision: int
    received_at: int
    ordered_priority: str
    result_id: str
    urgency: str
    weight: float
    finding: str
    probability: float
    rule: str
    rule_version: str
    reason: str
    alert_class: str
    modality: str
    body_part: str
    demonstration: bool
    synthetic: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertState:
    """State of one alert after a change. Its id is (study, finding, class): a revision updates it and pages nobody twice."""

    envelope: Envelope
    revision: int
    alert_id: str
    version: int
    state: str
    alert_class: str
    finding: str
    probability: float
    rule: str
    reason: str
    raised_at: int
    acknowledged_at: int | None = None
    acknowledged_by: str
    command_id: str
    received_at: int
    demonstration: bool
    synthetic: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertCommand:
    """A person asks for a change of an alert."""

    envelope: Envelope
    command_id: str
    alert_id: str
    action: str
    version_seen: int
    actor: str
    actor_role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertDelivery:
    """A notifier's outcome for one alert on one channel."""

    envelope: Envelope
    alert_id: str
    channel: str
    idempotency_key: str
    status: str
    attempts: int
    status_code: int
    delivered_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewCommand:
    """A reader asks for a change of a study's review."""

    envelope: Envelope
    command_id: str
    action: str
    finding: str
    revision_seen: int
    version_seen: int
    actor: str
    actor_role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewState:
    """A study's review after a change."""

    envelope: Envelope
    revision: int
    version: int
    status: str
    claimed_by: str
    decisions: tuple[FindingDecision, ...]
    signed_by: str
    signed_at: int | None = None
    command_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """Somebody or something used a power: an identity was read, a command refused, a token made."""

    envelope: Envelope
    action: str
    actor: str
    actor_role: str
    purpose: str
    subjects: tuple[str, ...]
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A record that a consumer could not handle, as a reference to its encrypted copy in quarantine."""

    envelope: Envelope
    consumer: str
    topic: str
    partition: int
    offset: int
    reason: str
    error_type: str
    attempts: int
    bucket: str
    object_key: str


Event = (
    InstanceReceived
    | InstanceDeidentified
    | StudyState
    | InferenceRequested
    | InferenceSkipped
    | InferenceCompleted
    | Findings
    | DocumentsStored
    | RiskScored
    | AlertState
    | AlertCommand
    | AlertDelivery
    | ReviewCommand
    | ReviewState
    | AuditEvent
    | DeadLetter
)
"""Any event."""

EVENT_TYPES: dict[str, type[Event]] = {
    "InstanceReceived": InstanceReceived,
    "InstanceDeidentified": InstanceDeidentified,
    "StudyState": StudyState,
    "InferenceRequested": InferenceRequested,
    "InferenceSkipped": InferenceSkipped,
    "InferenceCompleted": InferenceCompleted,
    "Findings": Findings,
    "DocumentsStored": DocumentsStored,
    "RiskScored": RiskScored,
    "AlertState": AlertState,
    "AlertCommand": AlertCommand,
    "AlertDelivery": AlertDelivery,
    "ReviewCommand": ReviewCommand,
    "ReviewState": ReviewState,
    "AuditEvent": AuditEvent,
    "DeadLetter": DeadLetter,
}
"""Every event class by its Avro record name."""
