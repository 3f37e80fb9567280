from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import pytest
from pydicom.dataset import Dataset

from producers.ingest import Outcome
from producers.store_response import (
    JSON,
    NATIVE_MODEL,
    XML,
    Problem,
    dataset,
    encode,
    failure_reason,
    media_type,
    status_of,
)

STORED = Outcome("stored", "", "1.2.840.10008.5.1.4.1.1.2", "1.2.3")
DUPLICATE = Outcome("duplicate", "", "1.2.840.10008.5.1.4.1.1.2", "1.2.4")
MISMATCH = Outcome("quarantined", "study-mismatch", "1.2.840.10008.5.1.4.1.1.2", "1.2.5")
UNREADABLE = Outcome("quarantined", "not-dicom")
UNAVAILABLE = Outcome("failed", "unavailable")
PROBLEM = Problem(400, "truncated", "")


@pytest.mark.parametrize(
    ("outcomes", "problem", "status"),
    [
        ([STORED], None, 200),
        ([STORED, DUPLICATE], None, 200),
        ([STORED, UNREADABLE], None, 202),
        ([STORED, UNAVAILABLE], None, 202),
        ([STORED], PROBLEM, 202),
        ([UNREADABLE], None, 409),
        ([MISMATCH], None, 409),
        ([UNAVAILABLE, UNREADABLE], None, 503),
        ([UNAVAILABLE], None, 503),
        ([], PROBLEM, 400),
        ([UNAVAILABLE], PROBLEM, 400),
    ],
)
def test_the_status_says_whether_all_some_or_none_were_stored(outcomes, problem, status):
    assert status_of(outcomes, problem) == status


@pytest.mark.parametrize(
    ("reason", "code"),
    [("unavailable", 0xA700), ("study-mismatch", 43265), ("not-dicom", 0xC000), ("incomplete", 0xC000)],
)
def test_failure_reasons_are_those_of_the_standard(reason, code):
    assert failure_reason(reason) == code


def test_the_answer_names_every_instance_once_where_the_standard_puts_it():
    answer = Dataset.from_json(json.dumps(dataset([STORED, DUPLICATE, MISMATCH, UNREADABLE])))
    assert [item.ReferencedSOPInstanceUID for item in answer.ReferencedSOPSequence] == ["1.2.3", "1.2.4"]
    assert [(i.ReferencedSOPInstanceUID, i.FailureReason) for i in answer.FailedSOPSequence] == [
        ("1.2.5", 43265)
    ]
    assert [item.FailureReason for item in answer.OtherFailuresSequence] == [0xC000]
    assert not answer.RetrieveURL


def test_empty_sequences_are_left_out():
    assert set(dataset([STORED])) == {"00081190", "00081199"}


def test_the_answer_is_the_same_as_native_dicom_model():
    root = ET.fromstring(encode(dataset([STORED, MISMATCH]), XML))
    assert root.tag == f"{{{NATIVE_MODEL}}}NativeDicomModel"
    values = {
        node.get("keyword"): node[0].text
        for node in root.iter(f"{{{NATIVE_MODEL}}}DicomAttribute")
        if len(node)
    }
    assert values["FailureReason"] == "43265"
    assert values["ReferencedSOPInstanceUID"] in ("1.2.3", "1.2.5")


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("application/dicom+json", JSON),
        ("application/json", JSON),
        ("application/dicom+xml", XML),
        ("application/dicom+xml;q=0.5, application/dicom+json", JSON),
        ("text/html", JSON),
    ],
)
def test_xml_is_sent_to_those_only_who_ask_for_it(accept, expected):
    assert media_type(accept) == expected
