"""The border: clean files and coded context out, refused files named and left where they are."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace

import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless

from runtime.errors import RetryError
from schemas.events import InstanceDeidentified, InstanceReceived
from schemas.identifiers import Pseudonyms, site_key
from schemas.rows import QuarantinedObjectRow
from stream_processors.deidentification import deidentify
from stream_processors.step import StepSettings
from stream_processors.steps.deidentify import STEP
from tests.support.context import MASTER, START, World, events, timeless
from tests.support.events import SITE, STUDY, received, received_instance
from tests.support.xray import PLANTED_NAME, xray


def cleaned(world: World, *names: str) -> InstanceDeidentified:
    return cleaned_by(world, received("e1", *(received_instance(name) for name in names)))


def cleaned_by(world: World, chunk: InstanceReceived) -> InstanceDeidentified:
    (event,) = events(world.run("deidentify", STEP, chunk))
    assert isinstance(event, InstanceDeidentified)
    return event


@pytest.fixture
def stored(world: World) -> World:
    files = {
        "a": xray(),
        "b": xray(ViewPosition="LL", PatientAge="004Y"),
        "burned": xray(BurnedInAnnotation="YES"),
        "broken": b"not a DICOM file",
    }
    world.raw.files = {("raw", f"{SITE}/{name}"): data for name, data in files.items()}
    return world


def test_a_clean_file_lies_under_site_study_series_instance_and_digest(stored: World) -> None:
    (instance,) = cleaned(stored, "a").instances
    data = stored.objects.get("clean", instance.object_key)
    assert instance.object_key == f"{SITE}/{STUDY}/se-1/in-a/{instance.digest}.dcm"
    assert (hashlib.sha256(data).hexdigest(), len(data)) == (instance.digest, instance.size)
    assert PLANTED_NAME.encode() not in data


def test_the_coded_context_comes_with_each_instance(stored: World) -> None:
    adult, child = cleaned(stored, "a", "b").instances
    assert (adult.modality, adult.body_part, adult.view_position, adult.age_band) == (
        "DX",
        "CHEST",
        "PA",
        "adult",
    )
    assert (adult.rows, adult.number_of_frames, adult.pixels_at_risk, adult.received_at) == (16, 1, "", START)
    assert (child.view_position, child.age_band) == ("LL", "child")


def test_pixels_at_risk_are_named(stored: World) -> None:
    (instance,) = cleaned(stored, "burned").instances
    assert instance.pixels_at_risk == "burned-in-annotation"


@pytest.mark.parametrize(("name", "reason"), [("broken", "not-dicom"), ("lost", "raw-object-missing")])
def test_a_refused_file_is_recorded_stays_where_it_is_and_fails_no_other(
    stored: World, name: str, reason: str
) -> None:
    event = cleaned(stored, "a", name, "b")
    assert [each.instance for each in event.instances] == ["in-a", "in-b"]
    assert [(each.instance, each.reason) for each in event.quarantined] == [(f"in-{name}", reason)]
    (row,) = stored.tables.select(QuarantinedObjectRow, site=SITE, day="2026-11-21")
    assert (row.reason, row.bucket, row.object_key) == (reason, "raw", f"{SITE}/{name}")


def test_every_read_of_the_raw_tier_names_its_purpose(stored: World) -> None:
    cleaned(stored, "a", "broken")
    assert stored.raw.purposes == ["de-identification"] * 2


def test_a_raw_tier_that_does_not_answer_is_asked_again(
    stored: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*args: object, **kwargs: object) -> bytes:
        raise RetryError("no answer")

    monkeypatch.setattr(stored.raw, "read_range", away)
    with pytest.raises(RetryError):
        cleaned(stored, "a")


def test_a_repeat_gives_the_same_event_objects_and_rows(stored: World) -> None:
    chunk = received("e1", *(received_instance(name) for name in ("a", "broken", "b")))
    first = stored.run("deidentify", STEP, chunk)
    stored.clock.advance(100_000)
    assert timeless(stored.run("deidentify", STEP, chunk)) == timeless(first)
    assert len(list(stored.objects.keys("clean"))) == 2
    assert len(stored.tables.select(QuarantinedObjectRow, site=SITE, day="2026-11-21")) == 1


def large(compressed: bool) -> bytes:
    """A file of 1.5 MB whose header is longer than the first read."""
    image = xray(TextValue="heart " * 50_000)
    source = pydicom.dcmread(io.BytesIO(image))
    if compressed:
        source.file_meta.TransferSyntaxUID = JPEG2000Lossless
        frames = [b"\xff\x4f" + bytes([each]) * 300_000 for each in range(5)]
        source.PixelData = encapsulate(frames)
        source["PixelData"].is_undefined_length = True
        source["PixelData"].VR = "OB"
        source.NumberOfFrames = 5
    else:
        source.Rows, source.Columns = 1000, 750
        source.PixelData = bytes(range(250)) * 6000
    written = io.BytesIO()
    source.save_as(written)
    return written.getvalue()


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("small", [100, 10_000_000])
def test_a_large_file_passes_in_pieces_and_is_what_it_is_in_memory(
    world: World, monkeypatch: pytest.MonkeyPatch, compressed: bool, small: int
) -> None:
    monkeypatch.setattr("stream_processors.raw_files.SMALL", small)
    raw = large(compressed)
    world.raw.files = {("raw", f"{SITE}/large"): raw}
    chunk = received("e1", replace(received_instance("large"), size=len(raw)))
    (event,) = events(world.run("deidentify", STEP, chunk))
    assert isinstance(event, InstanceDeidentified)
    (instance,) = event.instances
    data = world.objects.get("clean", instance.object_key)
    assert data == deidentify(raw, Pseudonyms(site_key(MASTER, SITE))).data
    assert (hashlib.sha256(data).hexdigest(), len(data)) == (instance.digest, instance.size)


def test_a_file_that_takes_minutes_is_handed_on_where_a_site_has_pixels_cleaned(stored: World) -> None:
    stored.settings = StepSettings(deidentification={SITE: frozenset({"113101"})})
    chunk = received("e1", *(received_instance(name) for name in ("a", "burned", "broken")))
    clean, uncleaned = events(stored.run("deidentify", STEP, chunk))
    assert isinstance(clean, InstanceDeidentified)
    assert isinstance(uncleaned, InstanceReceived)
    assert [each.instance for each in clean.instances] == ["in-a"]
    assert [each.instance for each in clean.quarantined] == ["in-broken"]
    assert uncleaned.instances == (chunk.instances[1],)
    assert (uncleaned.received_at, uncleaned.ordered_priority) == (chunk.received_at, chunk.ordered_priority)
    (alone,) = events(stored.run("deidentify", STEP, replace(chunk, instances=chunk.instances[1:2])))
    assert isinstance(alone, InstanceReceived)


def test_a_site_may_choose_other_options(stored: World) -> None:
    stored.settings = StepSettings(deidentification={SITE: frozenset()})
    (instance,) = cleaned(stored, "a").instances
    output = pydicom.dcmread(io.BytesIO(stored.objects.get("clean", instance.object_key)))
    assert [each.CodeValue for each in output.DeidentificationMethodCodeSequence] == ["113100"]


def test_a_file_whose_fragments_do_not_end_leaves_nothing_behind(world: World) -> None:
    raw = large(compressed=True)[:-100]
    world.raw.files = {("raw", f"{SITE}/large"): raw}
    chunk = received("e1", replace(received_instance("large"), size=len(raw)))
    (event,) = events(world.run("deidentify", STEP, chunk))
    assert isinstance(event, InstanceDeidentified)
    assert [each.reason for each in event.quarantined] == ["truncated"]
    assert not list(world.objects.keys("clean"))
