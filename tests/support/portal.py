"""A portal over embedded connections, with studies written straight into the tables, and steps that answer commands."""

from __future__ import annotations

import asyncio
import datetime as dt
import io
import json
import secrets
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Self, cast
from zlib import crc32

from PIL import Image, ImageDraw

from inference.pixels import display_image
from inference.training.phantoms import SyntheticIdentity, generate, to_dicom
from runtime.buckets import CLEAN, RESULTS
from runtime.clock import MICROSECONDS, SystemClock
from runtime.connections import Connections, connect
from runtime.credentials import Credentials, new_token
from runtime.prepare import prepare
from runtime.settings import KeySettings, SecretReference, Settings, SiteSettings
from runtime.vault import Identity
from schemas.codec import decode
from schemas.events import AlertCommand, Envelope, Event, ReviewCommand, ReviewState, RiskScored
from schemas.rows import (
    AlertDeliveryRow,
    AuditEntryRow,
    FindingRow,
    OpenAlertRow,
    QuarantinedObjectRow,
    ResultImageRow,
    StudyAssemblyRow,
    StudyInstanceRow,
    StudyRow,
    TraceHopRow,
    WorklistItemRow,
)
from schemas.tables import WORKLIST_SHARDS, Row
from stream_processors.step import StepContext
from stream_processors.steps import raise_alerts, review_study

SITE, OTHER_SITE = "north", "south"
MINUTE = 60 * MICROSECONDS


def settings(folder: Path) -> Settings:
    """Settings of an embedded system in a folder, with keys of its own."""
    keys = folder / "keys"
    credentials = keys / "credentials.json"
    if not keys.exists():
        keys.mkdir(parents=True)
        for name in ("pseudonym", "vault", "session"):
            (keys / name).write_bytes(secrets.token_bytes(32))
        credentials.write_text("[]")
    return Settings(
        data=folder / "data",
        sites=[SiteSettings(name=SITE), SiteSettings(name=OTHER_SITE)],
        keys=KeySettings(
            pseudonym=SecretReference(f"file:{keys / 'pseudonym'}"),
            pseudonym_key_id="test-1",
            vault=SecretReference(f"file:{keys / 'vault'}"),
            vault_key_id="test-1",
            session=SecretReference(f"file:{keys / 'session'}"),
            credentials=SecretReference(f"file:{credentials}"),
        ),
    )


@dataclass(frozen=True)
class System:
    """A prepared embedded system."""

    connections: Connections
    credentials_file: Path

    @classmethod
    def fresh(cls, folder: Path) -> System:
        """Make one in an empty folder."""
        system = cls.opened(folder)
        prepare(system.connections, ["review_study", "raise_alerts"])
        return system

    @classmethod
    def opened(cls, folder: Path) -> System:
        """Open one that was prepared in this folder, or in another of which this is a copy."""
        chosen = settings(folder)
        connections = connect(chosen, "portal")
        path = chosen.keys.credentials.path
        assert path is not None
        return cls(connections, path)

    def token(self, role: str = "radiologist", user: str = "dr.reader", site: str = SITE) -> str:
        """Make a token."""
        return new_token(self.credentials_file, site, role, user)

    def credentials(self) -> Credentials:
        """Read the credentials."""
        return Credentials(self.connections.settings.keys.credentials)

    def put(self, *rows: Row) -> None:
        """Write rows as their writers do."""
        for row in rows:
            cas = type(row).TABLE.cas
            if cas:
                self.connections.tables.insert_if_absent(row)
            else:
                self.connections.tables.write(row, at=self.connections.clock.now())


def shard(key: str) -> int:
    """Shard of a key, as the tables sink chooses it."""
    return crc32(key.encode()) % WORKLIST_SHARDS


def study_id(number: int) -> str:
    """Pseudonym of the n-th study."""
    return f"st-{number:032x}"


def instance_id(number: int, image: int = 1) -> str:
    """Pseudonym of an image of the n-th study."""
    return f"in-{number:028x}{image:04x}"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One study to be seeded."""

    number: int
    name: str
    sex: str = "F"
    born: str = "19640312"
    minutes: float = 12
    urgency: str | None = "routine"
    weight: float | None = 10.0
    ordered: str = "unknown"
    modality: str = "DX"
    body: str = "CHEST"
    images: int = 1
    findings: tuple[tuple[str, float, tuple[int, int, int, int] | None], ...] = ()
    reason: str = ""
    rule: str = ""
    claimed_by: str = ""
    at_risk: str = ""
    decided: bool = False
    """A rule on the first finding decided, also where the class is routine."""
    picture: bool = True
    site: str = SITE
    description: str = ""
    source: str = "Emergency department"

    @property
    def study(self) -> str:
        return study_id(self.number)


CASES = (
    Case(
        number=1,
        name="DOE^Jane",
        urgency="critical",
        weight=40.94,
        rule="R2",
        reason="Pneumothorax at 0.94, high certainty",
        description="Chest portable",
        source="ICU 3",
        findings=(
            ("pneumothorax", 0.94, (312, 85, 118, 270)),
            ("effusion", 0.41, None),
            ("consolidation", 0.22, None),
            ("nodule", 0.08, None),
            ("cardiomegaly", 0.05, None),
        ),
    ),
    Case(
        number=2,
        name="ROE^Max",
        sex="M",
        born="19480101",
        minutes=7,
        urgency="high",
        weight=15.81,
        rule="R5",
        reason="Effusion at 0.81, above the operating point",
        description="Chest PA",
        claimed_by="dr.second",
        findings=(("effusion", 0.81, (110, 300, 90, 110)), ("pneumothorax", 0.11, None)),
    ),
    Case(
        number=3,
        name="POE^Ann",
        born="19810601",
        minutes=6,
        urgency="not-analysed",
        ordered="stat",
        modality="CT",
        body="ABDOMEN",
        images=14,
        reason="no model for CT",
        rule="not-analysed",
        picture=False,
        description="Abdomen with contrast",
    ),
    Case(
        number=4,
        name="LOE^Sam",
        sex="M",
        born="19930911",
        minutes=35,
        weight=1.0,
        ordered="routine",
        rule="R0",
        reason="no finding reached its threshold",
        description="Chest PA/lat",
        source="Clinic North",
        findings=(("nodule", 0.31, None), ("pneumothorax", 0.04, None)),
    ),
    Case(number=5, name="MOE^Kim", sex="O", born="20200131", minutes=0.3, urgency=None, weight=None),
    Case(
        number=6,
        name="NOE^Ola",
        born="19721224",
        minutes=22,
        urgency="undetermined",
        rule="undetermined",
        reason="the model did not answer in time",
    ),
    Case(
        number=7,
        name="YOE^Li",
        born="19900214",
        minutes=190,
        urgency="not-analysed",
        ordered="routine",
        weight=1.0,
        modality="US",
        body="unknown",
        at_risk="ultrasound",
        reason="kept from inference: ultrasound pixels",
        rule="not-analysed",
        source="Obstetrics",
    ),
)
"""A morning's worklist."""


def seed(system: System, cases: Sequence[Case] = CASES) -> None:
    """Write cases as gateways, steps and sinks would have."""
    for case in cases:
        seed_case(system, case)


def seed_case(system: System, case: Case) -> None:
    """Write one case."""
    now = system.connections.clock.now()
    received = now - int(case.minutes * MINUTE)
    system.connections.vault.store(
        case.site,
        case.study,
        Identity(
            patient_name=case.name,
            patient_id=f"PID-{case.number:04d}",
            patient_birth_date=case.born,
            patient_sex=case.sex,
            accession_number=f"ACC{case.number:05d}",
            study_description=case.description,
            institution_name=case.source,
        ),
        at=received,
    )
    status = {"not-analysed": "not-analysed", "undetermined": "undetermined", None: None}.get(
        case.urgency, "analysed"
    )
    analysed = status == "analysed"
    top = (
        case.findings[0] if case.findings and (case.decided or case.urgency in ("critical", "high")) else None
    )
    system.put(
        WorklistItemRow(
            site=case.site, shard=shard(case.study), study=case.study, received_at=received,
            ordered_priority=case.ordered, modality=case.modality, body_part=case.body, instance_count=case.images,
            revision=1, status="complete", urgency=case.urgency, weight=case.weight,
            finding=top[0] if top else None, probability=top[1] if top else None, rule=case.rule or None,
            reason=case.reason or None, scored_at=received + 3_100_000 if case.urgency else None,
            demonstration=analysed, synthetic=case.modality == "DX", claimed_by=case.claimed_by or None,
        ),
        StudyRow(
            site=case.site, study=case.study, revision=1, status="complete", evidence="quiet-window 10 s",
            received_at=received, ordered_priority=case.ordered, modality=case.modality, body_part=case.body,
            instance_count=case.images, quarantined_count=0, conflict_count=0,
            result_revision=1 if status else None, result_status=status,
            result_reason=None if analysed else case.reason or None, model="cxr_demo" if analysed else None,
            model_version="1" if analysed else None, model_digest="58e276a5" * 8 if analysed else None,
            backend="onnxruntime-in-process" if analysed else None, demonstration=analysed,
            synthetic=case.modality == "DX", urgency=case.urgency, weight=case.weight, reason=case.reason or None,
            rule=case.rule or None, rule_version="1" if case.urgency else None,
        ),
        StudyAssemblyRow(site=case.site, study=case.study, version=1, revision=1, status="complete", received_at=received),
    )  # fmt: skip
    _seed_findings(system, case)
    _seed_images(system, case, received)
    _seed_hops(system, case, received)


def _seed_findings(system: System, case: Case) -> None:
    codes = {
        "pneumothorax": ("36118008", "SCT"),
        "effusion": ("60046008", "SCT"),
        "nodule": ("27925004", "SCT"),
    }
    meanings = {"effusion": "Pleural effusion", "consolidation": "Consolidation of lung"}
    for name, probability, box in case.findings:
        value, scheme = codes.get(name, (name, "99RADSTREAM"))
        system.put(
            FindingRow(
                site=case.site, study=case.study, revision=1, finding=name, result_id=f"result-{case.number}",
                code_value=value, coding_scheme=scheme, code_meaning=meanings.get(name, name.capitalize()),
                code_verified=scheme == "SCT", probability=probability, threshold=0.62,
                certainty="high" if probability > 0.9 else "uncertain" if probability > 0.3 else "low",
                series=f"se-{case.number:032x}", instance=instance_id(case.number),
                box=json.dumps(box) if box else "",
            )
        )  # fmt: skip


def _seed_images(system: System, case: Case, received: int) -> None:
    objects = system.connections.objects
    for image in range(1, case.images + 1):
        instance, key = instance_id(case.number, image), f"{case.site}/{case.study}/{image}"
        objects.put(CLEAN, key, picture(case.number) if case.picture else b"not an image")
        system.put(
            StudyInstanceRow(
                site=case.site, study=case.study, instance=instance, digest=f"{case.number:032x}{image:032x}",
                series=f"se-{case.number:032x}", bucket=CLEAN, object_key=key, size=1, modality=case.modality,
                body_part=case.body, view_position="PA" if case.modality == "DX" else "unknown", rows=512,
                columns=512, number_of_frames=1, photometric_interpretation="MONOCHROME2",
                synthetic=case.modality == "DX", pixels_at_risk=case.at_risk, received_at=received + image,
            )
        )  # fmt: skip
    if case.findings:
        key = f"{case.site}/{case.study}/overlay"
        objects.put(RESULTS, key, overlay_picture(case))
        system.put(
            ResultImageRow(
                site=case.site, study=case.study, revision=1, instance=instance_id(case.number),
                bucket=RESULTS, overlay_key=key, result_id=f"result-{case.number}", digest="0" * 64,
            )
        )  # fmt: skip


def _seed_hops(system: System, case: Case, received: int) -> None:
    way = [
        ("InstanceReceived", "instance.received.v1", "stow", 0.0),
        ("InstanceDeidentified", "instance.deidentified.v1", "deidentify", 0.2),
        ("StudyState", "study.state.v1", "assemble_study", 0.4),
    ]
    if case.findings:
        way += [
            ("InferenceRequested", "inference.requested.stat.v1", "route_study", 0.6),
            ("InferenceCompleted", "inference.completed.v1", "infer", 2.6),
        ]
    elif case.urgency:
        way.append(("InferenceSkipped", "inference.skipped.v1", "route_study", 0.6))
    if case.urgency:
        way += [
            ("Findings", "findings.v1", "publish_findings", 2.8),
            ("RiskScored", "risk.scored.v1", "score_risk", 3.1),
        ]
    for number, (event, topic, producer, after) in enumerate(way):
        system.put(
            TraceHopRow(
                site=case.site, study=case.study, event_id=f"{case.number}-{number}", topic=topic, event=event,
                recorded_at=received + int(after * MICROSECONDS), producer=producer, revision=1, causation_id="",
            )
        )  # fmt: skip


@cache
def picture(number: int) -> bytes:
    """A synthetic X-ray as a DICOM file."""
    identity = SyntheticIdentity(
        patient_name="SYNTHETIC^Image", patient_id="S1", accession_number="A1", birth_date="19700101", sex="O",
        taken_at=dt.datetime(2026, 11, 21, 9, 0, tzinfo=dt.UTC),
    )  # fmt: skip
    return to_dicom(generate(4_000_000 + number, findings=frozenset({"pneumothorax", "effusion"})), identity)


@cache
def overlay_picture(case: Case) -> bytes:
    """A picture of what a model looked at."""
    image = Image.open(io.BytesIO(display_image(picture(case.number)))).convert("RGB")
    draw = ImageDraw.Draw(image)
    for _, _, box in case.findings:
        if box:
            x, y, width, height = box
            draw.rectangle((x, y, x + width, y + height), outline=(255, 176, 46), width=3)
            draw.ellipse((x + 20, y + 20, x + width - 20, y + height - 20), fill=(170, 120, 40))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def seed_alert(system: System, case: Case, *, delivered: bool = True) -> str:
    """Raise an alert of a case through the step that decides alerts; returns its id."""
    connections, now = system.connections, system.connections.clock.now()
    name, probability, _ = case.findings[0]
    envelope = connections.publisher.envelope(
        case.site, case.study, f"score-{case.number}", correlation_id="c"
    )
    score = RiskScored(
        envelope=envelope, revision=1, received_at=now - int(case.minutes * MINUTE), ordered_priority=case.ordered,
        result_id="r", urgency="critical", weight=40.0, finding=name, probability=probability, rule=case.rule,
        rule_version="1", reason=case.reason, alert_class="critical", modality=case.modality, body_part=case.body,
        demonstration=True, synthetic=True,
    )  # fmt: skip
    (state,) = collected(raise_alerts.run(score, step_context(connections)))
    system.put(
        OpenAlertRow(
            site=case.site, shard=shard(state.alert_id), alert_id=state.alert_id, study=case.study, version=state.version,
            alert_class="critical", finding=name, probability=probability, rule=case.rule, reason=case.reason,
            received_at=score.received_at, raised_at=now - 42 * MICROSECONDS, demonstration=True, synthetic=True,
        )
    )  # fmt: skip
    if delivered:
        system.put(
            AlertDeliveryRow(
                site=case.site, alert_id=state.alert_id, channel="webhook", study=case.study, status="delivered",
                attempts=1, status_code=200, idempotency_key="k", delivered_at=now - 41 * MICROSECONDS,
            )
        )  # fmt: skip
    return str(state.alert_id)


def seed_operations(system: System) -> None:
    """Write what an operator looks at."""
    now = system.connections.clock.now()
    day = dt.datetime.fromtimestamp(now / MICROSECONDS, dt.UTC).date().isoformat()
    for number, reason in enumerate(("not-dicom", "missing-uids", "not-dicom")):
        system.put(
            QuarantinedObjectRow(
                site=SITE, day=day, quarantined_at=now - number * MINUTE, object_id=f"q{number}", component="stow",
                reason=reason, bucket="quarantine", object_key="k", size=10, study="", instance="",
            )
        )  # fmt: skip
    system.put(
        AuditEntryRow(
            site=SITE, day=day, event_id="a1", recorded_at=now, action="vault.read", actor="dr.reader",
            actor_role="radiologist", purpose="treatment", subjects=json.dumps([study_id(1), study_id(2)]), outcome="allowed",
        )
    )  # fmt: skip


def collected(produced: AsyncIterator[Any]) -> list[Any]:
    """Collect what a step yields, in a thread of its own: the caller's may have a loop running (Playwright's)."""

    async def outputs() -> list[Any]:
        return [each async for each in produced]

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(outputs())).result()


class CommandContext:
    """What the command steps ask for, over real connections."""

    def __init__(self, connections: Connections) -> None:
        self.clock, self.tables, self._publisher = SystemClock(), connections.tables, connections.publisher

    def envelope(self, cause: Event, *identity: str, occurred_at: int | None = None) -> Envelope:
        about = cause.envelope
        return self._publisher.envelope(
            about.site, about.study, "/".join((about.event_id, *identity)),
            correlation_id=about.correlation_id, occurred_at=occurred_at,
        )  # fmt: skip

    async def io(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return call(*args, **kwargs)


def step_context(connections: Connections) -> StepContext:
    """Context for the two command steps, which infer nothing and open no raw object."""
    return cast("StepContext", CommandContext(connections))


class Steps:
    """review_study and raise_alerts in a thread, each command answered once."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _serve(self) -> None:
        connections = self._system.connections
        consumer = connections.log.consumer("steps", ["review.commands.v1", "alert.commands.v1"], "steps-1")
        context = step_context(connections)
        while not self._stop.is_set():
            for record in consumer.poll(10, 0.1):
                command = decode(record.value, connections.registry)
                if isinstance(command, ReviewCommand):
                    self._sink(collected(review_study.run(command, context)))
                elif isinstance(command, AlertCommand):
                    collected(raise_alerts.run(command, context))
                consumer.commit({(record.topic, record.partition): record.offset + 1})
        consumer.close()

    def _sink(self, states: list[ReviewState]) -> None:
        """Do what the tables sink does with a review."""
        tables = self._system.connections.tables
        for state in states:
            site, study = state.envelope.site, state.envelope.study
            now = self._system.connections.clock.now()
            row = tables.get(WorklistItemRow, site=site, shard=shard(study), study=study)
            if row is not None and state.status == "signed":
                tables.delete(WorklistItemRow, at=now, site=site, shard=shard(study), study=study)
            elif row is not None:
                tables.write(
                    replace(row, claimed_by=state.claimed_by or None), at=now, columns=["claimed_by"]
                )
