"""One generated chest X-ray through every step, with the real de-identification and the real model."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.in_process import InProcess
from inference.models import cxr_demo
from inference.training.phantoms import SyntheticIdentity, generate, to_dicom
from schemas.events import AlertState, Event, Findings, RiskScored
from stream_processors.step import Step
from stream_processors.steps import (
    assemble_study,
    deidentify,
    infer,
    publish_findings,
    raise_alerts,
    route_study,
    score_risk,
)
from tests.support.context import World, events
from tests.support.events import SITE, received, received_instance

SEED = 9_000_001
"""Outside the seeds of training, calibration and test."""
CHAIN: tuple[tuple[str, Step], ...] = (
    ("deidentify", deidentify.STEP),
    ("assemble_study", assemble_study.STEP),
    ("route_study", route_study.STEP),
    ("infer", infer.STEP),
    ("publish_findings", publish_findings.STEP),
    ("score_risk", score_risk.STEP),
    ("raise_alerts", raise_alerts.STEP),
)


def answer(model: str, tensor: NDArray[Any]) -> Mapping[str, NDArray[np.float32]]:
    assert model == cxr_demo.SPEC.name
    outputs = InProcess()._run(cxr_demo.SPEC, {"image": tensor[None]})
    return {name: value[0] for name, value in outputs.items()}


def passed(world: World, present: frozenset[str]) -> dict[type[Event], Event]:
    """Events of a generated X-ray with these findings, by class."""
    identity = SyntheticIdentity(
        patient_name="SYNTHETIC^One",
        patient_id="SYN-1",
        accession_number="SYN1",
        birth_date="19700101",
        sex="F",
        taken_at=datetime.fromisoformat("2026-11-21T08:00:00"),
    )
    file = to_dicom(generate(SEED, findings=present), identity)
    world.raw.files = {("raw", f"{SITE}/a"): file}
    world.answer = answer
    found: list[Event] = [received("e1", received_instance("a", size=len(file)))]
    for name, step in CHAIN:
        (cause,) = found[-1:]
        outputs = events(world.run(name, step, cause))
        if not outputs:
            break
        found.append(outputs[0])
    return {type(event): event for event in found}


def test_a_generated_pneumothorax_ends_as_a_critical_alert(world: World) -> None:
    told = passed(world, frozenset({"pneumothorax"}))
    result, alert = told[Findings], told[AlertState]
    assert isinstance(result, Findings)
    assert isinstance(alert, AlertState)
    assert (result.status, result.findings[0].finding) == ("analysed", "pneumothorax")
    assert result.findings[0].box is not None
    assert (alert.state, alert.finding, alert.demonstration, alert.synthetic) == (
        "raised",
        "pneumothorax",
        True,
        True,
    )


def test_a_generated_normal_image_pages_nobody(world: World) -> None:
    told = passed(world, frozenset())
    score = told[RiskScored]
    assert isinstance(score, RiskScored)
    assert (score.urgency, score.alert_class, AlertState in told) == ("routine", "", False)
