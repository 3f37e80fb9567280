"""Images at risk of text in their pixels, at a site that has them cleaned."""

from __future__ import annotations

import io
from dataclasses import replace

import pydicom
import pytest

from schemas.events import InstanceDeidentified, InstanceReceived
from schemas.rows import QuarantinedObjectRow
from stream_processors.deidentification import DEFAULT, clean_pixels
from stream_processors.step import StepSettings
from stream_processors.steps.clean_pixels import STEP
from tests.support.burned_in import COLUMNS, ROWS, Eye, Here, Kind, file_of, glyphs, image, values_of
from tests.support.context import World, events
from tests.support.dicoms import to_bytes
from tests.support.events import SITE, received, received_instance


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clean_pixels, "WORKERS", Here(Eye()))


@pytest.fixture
def cleaning(world: World) -> World:
    world.settings = StepSettings(deidentification={SITE: DEFAULT.options | {"113101"}})
    return world


def chunk_of(world: World, **files: bytes) -> InstanceReceived:
    world.raw.files = {("raw", f"{SITE}/{name}"): data for name, data in files.items()}
    return received("e1", *(replace(received_instance(name), size=len(data)) for name, data in files.items()))


def cleaned(world: World, chunk: InstanceReceived) -> InstanceDeidentified:
    (event,) = events(world.run("clean_pixels", STEP, chunk))
    assert isinstance(event, InstanceDeidentified)
    return event


@pytest.mark.parametrize("frames", [1, 60], ids=["within the first read", "beyond it"])
def test_the_clean_object_has_no_text_and_says_how_many_boxes_went(cleaning: World, frames: int) -> None:
    kind = Kind(frames=frames)
    (instance,) = cleaned(cleaning, chunk_of(cleaning, us=file_of(kind))).instances
    assert (instance.pixels_at_risk, instance.boxes_blanked, instance.number_of_frames) == ("", 1, frames)
    output = pydicom.dcmread(io.BytesIO(cleaning.objects.get("clean", instance.object_key)))
    pixels = output.pixel_array.reshape(frames, ROWS, COLUMNS)
    assert not (pixels[:, glyphs()] == values_of(kind)[:, glyphs(), 0]).all()
    assert "113101" in [each.CodeValue for each in output.DeidentificationMethodCodeSequence]


def test_a_repeat_gives_the_same_object(cleaning: World) -> None:
    chunk = chunk_of(cleaning, us=file_of(Kind()))
    assert cleaned(cleaning, chunk).instances == cleaned(cleaning, chunk).instances
    assert len(list(cleaning.objects.keys("clean"))) == 1


def test_pixels_that_cannot_be_cleaned_are_quarantined_and_hold_up_no_other(cleaning: World) -> None:
    source = image(Kind())
    source.Rows = 5000
    event = cleaned(cleaning, chunk_of(cleaning, bad=to_bytes(source), good=file_of(Kind())))
    assert [(each.instance, each.reason) for each in event.quarantined] == [("in-bad", "pixels-unreadable")]
    assert [each.instance for each in event.instances] == ["in-good"]
    (row,) = cleaning.tables.select(QuarantinedObjectRow, site=SITE, day="2026-11-21")
    assert (row.component, row.reason) == ("clean_pixels", "pixels-unreadable")


def test_a_file_that_ends_early_or_is_too_large_is_quarantined(
    cleaning: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunk = chunk_of(cleaning, us=file_of(Kind(frames=60)))
    longer = replace(chunk, instances=(replace(chunk.instances[0], size=10_000_000),))
    assert [each.reason for each in cleaned(cleaning, longer).quarantined] == ["truncated"]
    monkeypatch.setattr("stream_processors.steps.clean_pixels.MAX_FILE", 1000)
    assert [each.reason for each in cleaned(cleaning, chunk).quarantined] == ["pixels-too-large"]


def test_a_site_that_cleans_no_more_has_the_pixels_withheld(world: World) -> None:
    (instance,) = cleaned(world, chunk_of(world, us=file_of(Kind()))).instances
    assert (instance.pixels_at_risk, instance.boxes_blanked) == ("ultrasound", 0)
