"""Records and overlays: functions of the event and the objects it names, so that writing again writes the same bytes."""

from __future__ import annotations

import dataclasses
import io
import json
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inference.activation import read_activation
from inference.models import cxr_demo
from inference.pixels import Geometry
from inference.training.phantoms import SyntheticIdentity, generate, to_dicom
from runtime import buckets
from runtime.embedded.objects import EmbeddedObjects
from runtime.embedded.tables import EmbeddedTables
from runtime.errors import DeadLetterError
from schemas.codec import from_record
from schemas.events import Box, Finding, Findings, Hop, ResultImage, RiskScored
from schemas.rows import ROW_TYPES, ResultImageRow
from sinks.objects import ObjectsSink, findings_on, result_record
from stream_processors.steps.infer import activation_file

SITE, STUDY, INSTANCE = "north", "st-" + "1" * 32, "in-1"
WHO = SyntheticIdentity("Probe^Synthetic", "P1", "A1", "19700101", "F", datetime(2026, 1, 2, tzinfo=UTC))
LABELS = [label.name for label in cxr_demo.SPEC.labels]
IMAGE = ResultImage(
    series="se-1",
    instance=INSTANCE,
    bucket=buckets.CLEAN,
    object_key="image",
    digest="d",
    activation_bucket=buckets.RESULTS,
    activation_key="activation",
)
GEOMETRY = Geometry(rows=512, columns=384, side=256, scale=0.5, left=32, top=0)


def found(name: str = "pneumothorax", **changes: object) -> Finding:
    """A finding on the image."""
    values = {
        "finding": name,
        "code_value": "c",
        "coding_scheme": "s",
        "code_meaning": "m",
        "code_verified": True,
        "probability": 0.9,
        "threshold": 0.5,
        "certainty": "high",
        "series": "se-1",
        "instance": INSTANCE,
        "box": Box(x=10, y=20, width=30, height=40),
    }
    return Finding(**(values | changes))  # type: ignore[arg-type]


def result(**changes: object) -> Findings:
    """A result on one image."""
    text = resources.files("schemas").joinpath("examples", "findings", "typical.json").read_text("utf-8")
    event = from_record(Findings, json.loads(text))
    values = {
        "envelope": dataclasses.replace(event.envelope, site=SITE, study=STUDY),
        "revision": 3,
        "result_id": "r1",
        "model": "cxr_demo",
        "model_digest": cxr_demo.SPEC.digest,
        "findings": (found(),),
        "images": (IMAGE,),
    }
    return dataclasses.replace(event, **(values | changes))  # type: ignore[arg-type]


@cache
def image() -> tuple[bytes, Geometry]:
    """A chest, and where the model's input lies in it."""
    data = to_dicom(generate(4_000_001, findings=frozenset({"pneumothorax"})), WHO)
    return data, cxr_demo.preprocess(data).geometry


@pytest.fixture
def sink(tmp_path: Path) -> ObjectsSink:
    tables = EmbeddedTables(tmp_path)
    tables.create(ROW_TYPES)
    objects = EmbeddedObjects(tmp_path / "objects")
    objects.create_buckets(buckets.ALL)
    data, geometry = image()
    cams = np.linspace(-4, 4, len(LABELS) * 32 * 32, dtype=np.float32).reshape(len(LABELS), 32, 32)
    objects.put(IMAGE.bucket, IMAGE.object_key, data)
    objects.put(IMAGE.activation_bucket, IMAGE.activation_key, activation_file(cams, LABELS, geometry))
    return ObjectsSink(objects, tables)


def written(sink: ObjectsSink) -> dict[str, bytes]:
    """Objects in the results bucket, the activation apart."""
    keys = [info.key for info in sink.objects.keys(buckets.RESULTS, f"{SITE}/")]
    return {key: sink.objects.get(buckets.RESULTS, key) for key in keys}


def row(sink: ObjectsSink) -> ResultImageRow | None:
    """Row of the image."""
    return sink.tables.get(ResultImageRow, site=SITE, study=STUDY, revision=3, instance=INSTANCE)


def test_a_result_has_a_record_and_each_image_an_overlay_that_its_row_names(sink: ObjectsSink) -> None:
    assert sink.write("findings.v1", result()) == ()
    folder = f"{SITE}/{STUDY}/3"
    told = written(sink)
    assert set(told) == {f"{folder}/result-r1.json", f"{folder}/overlay-{INSTANCE}-r1.jpg"}
    assert Image.open(io.BytesIO(told[f"{folder}/overlay-{INSTANCE}-r1.jpg"])).format == "JPEG"
    kept = row(sink)
    assert kept is not None
    assert (kept.bucket, kept.overlay_key, kept.result_id) == (
        buckets.RESULTS,
        f"{folder}/overlay-{INSTANCE}-r1.jpg",
        "r1",
    )


def test_written_again_and_published_again_it_is_byte_for_byte_the_same(sink: ObjectsSink) -> None:
    first = result()
    envelope = first.envelope
    again = dataclasses.replace(
        envelope,
        recorded_at=envelope.recorded_at + 1,
        occurred_at=envelope.occurred_at + 1,
        hops=(*envelope.hops[:-1], Hop(name="publish_findings", at=envelope.recorded_at + 1)),
    )
    sink.write("findings.v1", first)
    told, kept = written(sink), row(sink)
    sink.write("findings.v1", dataclasses.replace(first, envelope=again))
    assert written(sink) == told
    assert row(sink) == kept


def test_the_record_explains_the_result(sink: ObjectsSink) -> None:
    told = json.loads(result_record(result()))
    assert (told["site"], told["study"], told["revision"]) == (SITE, STUDY, 3)
    assert told["model_digest"] == cxr_demo.SPEC.digest
    assert told["findings"][0]["finding"] == "pneumothorax"
    assert told["inputs_digest"]
    assert [hop["name"] for hop in told["hops"]] == [hop.name for hop in result().envelope.hops[:-1]]


@pytest.mark.parametrize(
    "changes", [{"model": "nobody-s"}, {"model_digest": "other weights"}, {"images": (), "findings": ()}]
)
def test_without_an_image_that_this_release_s_model_read_there_is_a_record_only(
    sink: ObjectsSink, changes: dict[str, object]
) -> None:
    sink.write("findings.v1", result(**changes))
    assert [key.rpartition("/")[2] for key in written(sink)] == ["result-r1.json"]
    assert row(sink) is None


@pytest.mark.parametrize("missing", [{"object_key": "gone"}, {"activation_key": "gone"}])
def test_an_image_that_is_not_there_is_a_reason_and_the_record_stays(
    sink: ObjectsSink, missing: dict[str, str]
) -> None:
    with pytest.raises(DeadLetterError) as refused:
        sink.write("findings.v1", result(images=(dataclasses.replace(IMAGE, **missing),)))
    assert refused.value.reason == "image-missing"
    assert [key.rpartition("/")[2] for key in written(sink)] == ["result-r1.json"]


def test_an_image_that_cannot_be_drawn_is_a_reason(sink: ObjectsSink) -> None:
    sink.objects.put(IMAGE.bucket, IMAGE.object_key, b"no image")
    with pytest.raises(DeadLetterError) as refused:
        sink.write("findings.v1", result())
    assert refused.value.reason


def test_other_events_are_not_for_this_sink(sink: ObjectsSink) -> None:
    text = resources.files("schemas").joinpath("examples", "risk_scored", "typical.json").read_text("utf-8")
    assert sink.write("risk.scored.v1", from_record(RiskScored, json.loads(text))) == ()
    assert written(sink) == {}


def test_only_findings_of_this_image_that_the_model_localised_are_drawn() -> None:
    cams = np.zeros((len(LABELS), 4, 4), np.float32)
    activation = read_activation(activation_file(cams, LABELS, GEOMETRY))
    assert (activation.labels, activation.geometry) == (tuple(LABELS), GEOMETRY)
    below = found("effusion", probability=0.2, box=None)
    drawn = findings_on(
        IMAGE, [found(), below, found("nodule", instance="in-2"), found("fracture")], activation
    )
    assert [(each.label, each.present, each.box) for each in drawn] == [
        ("pneumothorax", True, (10, 20, 40, 60)),
        ("effusion", False, None),
    ]


def test_an_activation_file_with_code_in_it_is_refused() -> None:
    packed = io.BytesIO()
    objects = np.array([{"code": 1}], dtype=object)
    np.savez(packed, cam=objects, labels=objects, geometry=objects)
    with pytest.raises(ValueError, match="pickle"):
        read_activation(packed.getvalue())
