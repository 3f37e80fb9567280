"""Synthetic events with the fields a test cares about."""

from __future__ import annotations

import hashlib
from typing import Any

from schemas.events import (
    AlertCommand,
    Envelope,
    Finding,
    Findings,
    Hop,
    InferenceCompleted,
    InferenceRequested,
    InferenceSkipped,
    InstanceDeidentified,
    InstanceReceived,
    InstanceReference,
    InstanceResult,
    LabelOutput,
    QuarantinedInstance,
    ReceivedInstance,
    ReviewCommand,
    RiskScored,
    StudyInstance,
    StudyState,
)
from tests.support.context import START

SITE = "north"
STUDY = "st-" + "0" * 32


def digest(text: str) -> str:
    """SHA-256 of a text, for fields that hold one."""
    return hashlib.sha256(text.encode()).hexdigest()


def envelope(event_id: str, **changes: Any) -> Envelope:
    """An envelope of one synthetic study."""
    told: dict[str, Any] = {
        "event_id": event_id,
        "site": SITE,
        "study": STUDY,
        "key_id": "test-1",
        "occurred_at": START,
        "recorded_at": START,
        "correlation_id": "correlation",
        "causation_id": "",
        "producer": "test",
        "producer_version": "test",
        "hops": (Hop(name="stow", at=START),),
    }
    return Envelope(**{**told, **changes})


def received_instance(name: str, **changes: Any) -> ReceivedInstance:
    """A raw file called `name`."""
    told: dict[str, Any] = {
        "series": "se-1",
        "instance": f"in-{name}",
        "bucket": "raw",
        "object_key": f"{SITE}/{name}",
        "size": 1,
        "raw_digest": digest("raw" + name),
        "sop_class_uid": "1.2.840.10008.5.1.4.1.1.1.1",
        "transfer_syntax_uid": "1.2.840.10008.1.2.1",
    }
    return ReceivedInstance(**{**told, **changes})


def received(event_id: str, *instances: ReceivedInstance) -> InstanceReceived:
    """A chunk from a gateway."""
    return InstanceReceived(
        envelope=envelope(event_id),
        gateway="stow",
        received_at=START,
        ordered_priority="unknown",
        instances=instances,
    )


def image(name: str, **changes: Any) -> StudyInstance:
    """A de-identified chest X-ray of an adult called `name`."""
    told: dict[str, Any] = {
        "series": "se-1",
        "instance": f"in-{name}",
        "bucket": "clean",
        "object_key": f"{SITE}/{STUDY}/se-1/in-{name}/{digest(name)}.dcm",
        "size": 1,
        "digest": digest(name),
        "sop_class_uid": "1.2.840.10008.5.1.4.1.1.1.1",
        "transfer_syntax_uid": "1.2.840.10008.1.2.1",
        "modality": "DX",
        "body_part": "CHEST",
        "view_position": "PA",
        "age_band": "adult",
        "patient_sex": "F",
        "rows": 512,
        "columns": 512,
        "number_of_frames": 1,
        "photometric_interpretation": "MONOCHROME2",
        "synthetic": True,
        "pixels_at_risk": "",
        "received_at": START,
    }
    return StudyInstance(**{**told, **changes})


def deidentified(
    event_id: str, *instances: StudyInstance, refused: tuple[str, ...] = (), priority: str = "unknown"
) -> InstanceDeidentified:
    """A chunk behind the border; `refused` names quarantined files."""
    return InstanceDeidentified(
        envelope=envelope(event_id),
        ordered_priority=priority,
        instances=instances,
        quarantined=tuple(
            QuarantinedInstance(instance=f"in-{name}", raw_digest=digest("raw" + name), reason="malformed")
            for name in refused
        ),
    )


def study_state(event_id: str, *added: StudyInstance, **changes: Any) -> StudyState:
    """A study's state."""
    told: dict[str, Any] = {
        "revision": 1,
        "status": "provisional",
        "evidence": "",
        "received_at": START,
        "ordered_priority": "unknown",
        "instance_count": len(added),
        "instances_digest": digest("set"),
        "quarantined_count": 0,
        "conflict_count": 0,
        "modalities": tuple(sorted({each.modality for each in added})),
        "body_part": "CHEST",
        "added": added,
    }
    return StudyState(envelope=envelope(event_id), **{**told, **changes})


def requested(event_id: str, *names: str, **changes: Any) -> InferenceRequested:
    """A request for images by name."""
    told: dict[str, Any] = {
        "revision": 1,
        "received_at": START,
        "ordered_priority": "unknown",
        "model": "scripted",
        "model_version": "1",
        "modality": "DX",
        "body_part": "CHEST",
        "synthetic": True,
        "instances": tuple(
            InstanceReference(
                series="se-1",
                instance=f"in-{name}",
                bucket="clean",
                object_key=f"{SITE}/{name}",
                size=1,
                digest=digest(name),
            )
            for name in names
        ),
    }
    return InferenceRequested(envelope=envelope(event_id), **{**told, **changes})


def skipped(event_id: str, **changes: Any) -> InferenceSkipped:
    """A study that no model reads."""
    told: dict[str, Any] = {
        "revision": 1,
        "received_at": START,
        "ordered_priority": "routine",
        "reason_code": "no-model",
        "reason": "no model for CT",
        "modality": "CT",
        "body_part": "unknown",
        "instance_count": 3,
        "synthetic": False,
    }
    return InferenceSkipped(envelope=envelope(event_id), **{**told, **changes})


def result(name: str, logits: dict[str, float] | None = None, **changes: Any) -> InstanceResult:
    """A model's answer on an image by name."""
    outputs = tuple(LabelOutput(label=label, logit=logit) for label, logit in (logits or {}).items())
    told: dict[str, Any] = {
        "series": "se-1",
        "instance": f"in-{name}",
        "bucket": "clean",
        "object_key": f"{SITE}/{name}",
        "digest": digest(name),
        "status": "ok",
        "reason": "",
        "outputs": outputs,
        "activation_bucket": "results",
        "activation_key": f"{SITE}/{name}.npz",
    }
    return InstanceResult(**{**told, **changes})


def completed(event_id: str, *results: InstanceResult, **changes: Any) -> InferenceCompleted:
    """A model's answer on a request."""
    told: dict[str, Any] = {
        "revision": 1,
        "received_at": START,
        "ordered_priority": "unknown",
        "model": "scripted",
        "model_version": "1",
        "model_digest": digest("weights"),
        "backend": "scripted",
        "modality": "DX",
        "body_part": "CHEST",
        "synthetic": True,
        "demonstration": True,
        "results": results,
    }
    return InferenceCompleted(envelope=envelope(event_id), **{**told, **changes})


def finding(name: str, certainty: str = "high", probability: float = 0.9, threshold: float = 0.5) -> Finding:
    """A calibrated finding."""
    return Finding(
        finding=name,
        code_value=name,
        coding_scheme="99RADSTREAM",
        code_meaning=name,
        code_verified=False,
        probability=probability,
        threshold=threshold,
        certainty=certainty,
        series="se-1",
        instance="in-a",
    )


def findings(event_id: str, *found: Finding, **changes: Any) -> Findings:
    """A published result."""
    told: dict[str, Any] = {
        "revision": 1,
        "received_at": START,
        "ordered_priority": "routine",
        "result_id": digest(event_id),
        "status": "analysed",
        "reason_code": "",
        "reason": "",
        "model": "scripted",
        "model_version": "1",
        "model_digest": digest("weights"),
        "calibration_version": "c1",
        "backend": "scripted",
        "demonstration": True,
        "synthetic": True,
        "modality": "DX",
        "body_part": "CHEST",
        "inputs_digest": digest("inputs"),
        "findings": found,
        "images": (),
    }
    return Findings(envelope=envelope(event_id), **{**told, **changes})


def risk(event_id: str, **changes: Any) -> RiskScored:
    """A critical score."""
    told: dict[str, Any] = {
        "revision": 1,
        "received_at": START,
        "ordered_priority": "routine",
        "result_id": "result",
        "urgency": "critical",
        "weight": 40.9,
        "finding": "pneumothorax",
        "probability": 0.9,
        "rule": "R2",
        "rule_version": "1",
        "reason": "high probability of pneumothorax",
        "alert_class": "critical",
        "modality": "DX",
        "body_part": "CHEST",
        "demonstration": True,
        "synthetic": True,
    }
    return RiskScored(envelope=envelope(event_id), **{**told, **changes})


def alert_command(command_id: str, alert_id: str, **changes: Any) -> AlertCommand:
    """Somebody acknowledges an alert."""
    told: dict[str, Any] = {
        "command_id": command_id,
        "alert_id": alert_id,
        "action": "acknowledge",
        "version_seen": 1,
        "actor": "reader-1",
        "actor_role": "radiologist",
    }
    return AlertCommand(envelope=envelope(f"event-{command_id}"), **{**told, **changes})


def review_command(command_id: str, action: str, **changes: Any) -> ReviewCommand:
    """A reader does something to the review."""
    told: dict[str, Any] = {
        "command_id": command_id,
        "action": action,
        "finding": "pneumothorax" if action in ("accept", "reject") else "",
        "revision_seen": 1,
        "version_seen": 0,
        "actor": "reader-1",
        "actor_role": "radiologist",
    }
    return ReviewCommand(envelope=envelope(f"event-{command_id}"), **{**told, **changes})
