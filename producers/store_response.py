"""Answers of the Store transaction (PS3.18 §10.5.3 and §I.2.2): pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

from producers.ingest import Outcome

JSON = "application/dicom+json"
XML = "application/dicom+xml"
NATIVE_MODEL = "http://dicom.nema.org/PS3.19/models/NativeDICOM"
"""Namespace of the Native DICOM Model (PS3.19 §A.1)."""

OUT_OF_RESOURCES = 0xA700
"""Refused, send again (PS3.18 Table I.2-2)."""
STUDY_MISMATCH = 0xA901
"""Of the range A9xx, data set does not match; 43265 is what other servers answer for a wrong study."""
CANNOT_UNDERSTAND = 0xC000
"""The object cannot be read (PS3.18 Table I.2-2)."""

RETRY_AFTER_S = 5
"""seconds a refused sender shall wait: an engine that restarts is back in less."""

DicomJson = dict[str, Any]
"""DICOM JSON Model (PS3.18 §F.2): tag to element."""

KEYWORDS = {
    "00081150": "ReferencedSOPClassUID",
    "00081155": "ReferencedSOPInstanceUID",
    "00081190": "RetrieveURL",
    "00081197": "FailureReason",
    "00081198": "FailedSOPSequence",
    "00081199": "ReferencedSOPSequence",
    "0008119A": "OtherFailuresSequence",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """The request itself is wrong or must wait.

    Parameters
    ----------
    status
        HTTP status.
    reason
        Class, for machines.
    detail
        Sentence for the sender; quotes nothing of the request.
    """

    status: int
    reason: str
    detail: str


def failure_reason(reason: str) -> int:
    """Failure Reason (0008,1197) for a reason class of `producers.ingest`."""
    return {"unavailable": OUT_OF_RESOURCES, "study-mismatch": STUDY_MISMATCH}.get(reason, CANNOT_UNDERSTAND)


def status_of(outcomes: Sequence[Outcome], problem: Problem | None = None) -> int:
    """HTTP status of a request (PS3.18 Table 10.5.3-1).

    200 all stored; 202 some; otherwise that of the request's own problem, 503 when trying again helps at least one object
    (many senders read no more than the status), 409 when the objects are to blame.
    """
    safe = sum(outcome.safe for outcome in outcomes)
    if safe and safe == len(outcomes) and problem is None:
        return 200
    if safe:
        return 202
    if problem is not None:
        return problem.status
    return 503 if any(outcome.status == "failed" for outcome in outcomes) else 409


def dataset(outcomes: Sequence[Outcome]) -> DicomJson:
    """Store Instances Response Module (PS3.18 Table I.2-1).

    Retrieve URL is empty (type 2): raw objects are retrieved through the portal, never here.
    """
    stored = [_reference(outcome) for outcome in outcomes if outcome.safe]
    refused = [outcome for outcome in outcomes if not outcome.safe]
    failed = [_reference(each, with_reason=True) for each in refused if each.sop_instance_uid]
    other = [_reason(each) for each in refused if not each.sop_instance_uid]
    sequences = {"00081198": failed, "00081199": stored, "0008119A": other}
    return {"00081190": {"vr": "UR"}} | {
        tag: {"vr": "SQ", "Value": items} for tag, items in sequences.items() if items
    }


def encode(answer: DicomJson, media_type: str) -> bytes:
    """Encode as DICOM JSON (PS3.18 §F.2) or Native DICOM Model (PS3.19 §A.1)."""
    if media_type == JSON:
        return json.dumps(answer, separators=(",", ":")).encode()
    root = ET.Element("NativeDicomModel", {"xmlns": NATIVE_MODEL, "xml:space": "preserve"})
    _to_xml(answer, root)
    encoded: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return encoded


def media_type(accept: str) -> str:
    """Choose by the Accept header: XML only for a sender that asks for it and not for JSON; anything else gets JSON."""
    wanted = [each.split(";")[0].strip().lower() for each in accept.split(",")]
    if JSON in wanted or "application/json" in wanted:
        return JSON
    return XML if XML in wanted or "application/xml" in wanted else JSON


def _reference(outcome: Outcome, *, with_reason: bool = False) -> DicomJson:
    item: DicomJson = {
        "00081150": {"vr": "UI", "Value": [outcome.sop_class_uid]},
        "00081155": {"vr": "UI", "Value": [outcome.sop_instance_uid]},
    }
    return item | (_reason(outcome) if with_reason else {"00081190": {"vr": "UR"}})


def _reason(outcome: Outcome) -> DicomJson:
    return {"00081197": {"vr": "US", "Value": [failure_reason(outcome.reason)]}}


def _to_xml(elements: DicomJson, parent: ET.Element) -> None:
    for tag, element in sorted(elements.items()):
        attributes = {"tag": tag, "vr": element["vr"], "keyword": KEYWORDS[tag]}
        node = ET.SubElement(parent, "DicomAttribute", attributes)
        for number, value in enumerate(element.get("Value", ()), 1):
            if element["vr"] == "SQ":
                _to_xml(value, ET.SubElement(node, "Item", {"number": str(number)}))
            else:
                ET.SubElement(node, "Value", {"number": str(number)}).text = str(value)
