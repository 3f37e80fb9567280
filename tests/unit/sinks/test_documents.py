"""Documents of a result: stored once, the same bytes again, each report after the one that came before it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest

from inference.standard_objects import uid_of
from runtime.buckets import RESULTS
from runtime.connections import Connections
from runtime.errors import DeadLetterError
from schemas.events import DocumentsStored, Findings
from schemas.rows import ResultDocumentsRow
from sinks import documents
from tests.support import dicoms, events, results
from tests.support.installation import connections

SITE, STUDY = events.SITE, events.STUDY


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Connections]:
    opened = connections(tmp_path, "documents")
    clean = results.clean(results.chest_xray(), opened.pseudonyms(SITE))
    results.stored(opened.objects, [clean], ["pneumothorax"], 512, 512)
    yield opened
    opened.close()


def told(made: Connections, result: Findings) -> DocumentsStored:
    """What the sink says of a result."""
    ((topic, event),) = documents.open_sink(made).write("findings.v1", result)
    assert topic == "documents.v1"
    assert isinstance(event, DocumentsStored)
    return event


RESULT = results.result(results.present("pneumothorax"))


def test_each_document_stands_where_the_event_and_the_row_say(made: Connections) -> None:
    event = told(made, RESULT)
    assert [each.kind for each in event.documents] == ["sr", "seg", "pr"]
    for each in event.documents:
        data = made.objects.get(each.bucket, each.object_key)
        assert len(data) == each.size
        assert pydicom.dcmread(io.BytesIO(data)).SOPClassUID == each.sop_class_uid
    row = made.tables.get(ResultDocumentsRow, site=SITE, study=STUDY, result_id="r1")
    assert row is not None
    assert (row.sequence, row.predecessor, row.made_at) == (1, "", RESULT.envelope.occurred_at)
    assert all(each.object_key in (row.documents or "") for each in event.documents)


def test_a_revised_result_takes_the_place_of_the_last_and_a_replay_of_the_first_of_none(
    made: Connections,
) -> None:
    first = told(made, RESULT)
    second = told(made, replace(RESULT, result_id="r2", revision=2))
    late = replace(RESULT, envelope=replace(RESULT.envelope, occurred_at=1))
    assert (first.predecessor, second.predecessor) == ("", "r1")
    assert (told(made, late).predecessor, told(made, late).made_at) == ("", first.made_at)
    report = made.objects.get(RESULTS, f"{SITE}/{STUDY}/2/sr-r2.dcm")
    named = pydicom.dcmread(io.BytesIO(report)).PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    assert named.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == uid_of("instance", "r1", "sr", "")


@pytest.mark.parametrize(
    "result",
    [
        pytest.param(replace(RESULT, status="undetermined"), id="undetermined"),
        pytest.param(replace(RESULT, status="not-analysed", findings=()), id="not analysed"),
        pytest.param(events.risk("r"), id="another event"),
    ],
)
def test_what_says_nothing_of_an_image_has_no_document(made: Connections, result: Findings) -> None:
    assert documents.open_sink(made).write("findings.v1", result) == ()
    assert list(made.objects.keys(RESULTS, SITE)) == []


def test_without_outlines_there_is_a_report_and_no_segmentation(made: Connections) -> None:
    earlier = results.result(results.present("pneumothorax", outlines=()))
    assert [each.kind for each in told(made, earlier).documents] == ["sr", "pr"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [(None, "image-missing"), (b"no DICOM", "header-unreadable"), (results.other, "not-representable")],
    ids=["no image", "no DICOM", "no image header"],
)
def test_what_cannot_be_reported_on_is_a_reason_and_decides_nothing(
    made: Connections, data: bytes | None, reason: str
) -> None:
    reference = results.image()
    if data is None:
        made.objects.delete(reference.bucket, reference.object_key)
    else:
        report = results.other(dicoms.dx_chest()) if callable(data) else data
        made.objects.put(reference.bucket, reference.object_key, without(report, "StudyInstanceUID"))
    with pytest.raises(DeadLetterError) as refused:
        told(made, RESULT)
    assert refused.value.reason == reason
    assert made.tables.get(ResultDocumentsRow, site=SITE, study=STUDY, result_id="r1") is None


def without(data: bytes, keyword: str) -> bytes:
    """Return the file without an attribute; what is no DICOM file stays."""
    if data[128:132] != b"DICM":
        return data
    data_set = pydicom.dcmread(io.BytesIO(data))
    delattr(data_set, keyword)
    written = io.BytesIO()
    data_set.save_as(written)
    return written.getvalue()


def test_a_result_that_names_an_image_it_did_not_read_is_a_reason(made: Connections) -> None:
    stray = replace(RESULT, findings=(results.present("pneumothorax", "in-9"),))
    with pytest.raises(DeadLetterError) as refused:
        told(made, stray)
    assert refused.value.reason == "not-representable"
