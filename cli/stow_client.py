"""Sends DICOM files by STOW-RS (PS3.18 §10.5), as any modality gateway would."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import httpx

TIMEOUT_S = 60.0
"""Seconds: the gateway answers once everything is stored and published."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A gateway's answer.

    Parameters
    ----------
    status
        HTTP status.
    accepted
        SOPInstanceUIDs in ReferencedSOPSequence (0008,1199).
    refused
        Instances in FailedSOPSequence (0008,1198) and OtherFailuresSequence (0008,119A).
    """

    status: int
    accepted: tuple[str, ...]
    refused: int


def _body(files: Iterable[bytes], boundary: str) -> Iterator[bytes]:
    for data in files:
        yield f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        yield data
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode()


def store(client: httpx.Client, address: str, token: str, files: Iterable[bytes]) -> Answer:
    """Send files in one request.

    Parameters
    ----------
    client
        HTTP client.
    address
        Base address of the gateway.
    token
        Bearer token of a sender; it decides the site.
    files
        DICOM files.
    """
    boundary = uuid.uuid4().hex
    response = client.post(
        f"{address}/studies",
        content=_body(files, boundary),
        headers={
            "Authorization": f"Bearer {token}",
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
            "Accept": "application/dicom+json",
        },
        timeout=TIMEOUT_S,
    )
    try:
        content = response.json()
    except ValueError:
        content = {}
    if not isinstance(content, dict):
        content = {}
    accepted = tuple(item["00081155"]["Value"][0] for item in content.get("00081199", {}).get("Value", []))
    refused = sum(len(content.get(tag, {}).get("Value", [])) for tag in ("00081198", "0008119A"))
    return Answer(response.status_code, accepted, refused)
