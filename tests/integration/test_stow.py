"""The STOW-RS gateway as senders meet it: a process on a port (PS3.18 §10.5)."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import io
import os
import socket
import subprocess
import time
import urllib.parse
import zipfile
from collections.abc import Iterator

import psutil  # type: ignore[import-untyped]  # it ships no types
import pydicom
import pytest
import requests
from dicomweb_client.api import DICOMwebClient
from pydicom.uid import generate_uid

from runtime.buckets import QUARANTINE, RAW
from runtime.credentials import new_token
from runtime.settings import ClusterSettings
from schemas.rows import QuarantinedObjectRow
from tests.support.cluster import PROFILES, engines
from tests.support.gateways import (
    BOUNDARY,
    GatewayProcess,
    dicom,
    gateway_process,
    multipart,
    opened,
    received,
    restart,
)
from tests.support.processes import WAIT_S, wait_until

TYPE = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
MEGABYTE = 1024 * 1024
STREAM_BYTES = int(os.environ.get("RADSTREAM_STREAM_MB", "256")) * MEGABYTE
"""bytes of the one large instance; the bound below holds for any size, so a release run sends 2048 MB."""
MEMORY_BOUND = 64 * MEGABYTE
"""bytes the gateway may grow while any amount streams in."""


@pytest.fixture(scope="module", params=PROFILES)
def cluster(request, servers) -> ClusterSettings | None:
    """How to reach engines; nothing where they are embedded."""
    real = engines(request.param, servers)
    return real.settings if real else None


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, cluster) -> Iterator[GatewayProcess]:
    with gateway_process(tmp_path_factory.mktemp("gateway"), cluster) as running:
        yield running


def post(*arguments, **named):
    """Send as senders do, who try again while they are told to wait (an engine that stood still for a while is an outage)."""
    deadline = time.monotonic() + WAIT_S
    while True:
        response = post_once(*arguments, **named)
        if response.status_code != 503 or time.monotonic() > deadline:
            return response
        time.sleep(1)


def post_once(
    gateway: GatewayProcess, body, content_type: str = TYPE, path: str = "/studies", **headers: str
):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.post(
        gateway.url + path,
        data=body,
        headers=gateway.headers | {"Content-Type": content_type} | named,
        timeout=WAIT_S,
    )


def answer(response: requests.Response) -> pydicom.Dataset:
    return pydicom.Dataset.from_json(response.text)


def published(gateway: GatewayProcess, sizes: set[int]) -> set[int]:
    """Sizes of published instances, out of the given ones."""
    connections = opened(gateway)
    try:
        return {each.size for event in received(connections) for each in event.instances} & sizes
    finally:
        connections.close()


def raw_connection(gateway: GatewayProcess, head: str) -> socket.socket:
    """A connection on which a request was begun by hand; without a Content-Type its headers have not ended."""
    address = urllib.parse.urlsplit(gateway.url)
    connection = socket.create_connection((address.hostname, address.port), timeout=WAIT_S)
    end = "\r\n" if "Content-Type" in head else ""
    lines = f"POST /studies HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {gateway.token}\r\n{head}{end}"
    connection.sendall(lines.encode())
    return connection


def test_dicomweb_client_stores_a_series_and_gets_references_to_all_of_it(gateway):
    client = DICOMwebClient(url=gateway.url, headers=gateway.headers)
    study, series = generate_uid(), generate_uid()
    files = [dicom(study, series=series) for _ in range(5)]
    datasets = [pydicom.dcmread(io.BytesIO(file)) for file in files]
    stored = client.store_instances(datasets, study_instance_uid=study)
    assert {item.ReferencedSOPInstanceUID for item in stored.ReferencedSOPSequence} == {
        each.SOPInstanceUID for each in datasets
    }


def test_dicomweb_client_stores_what_is_long_enough_for_chunked_transfer(gateway):
    client = DICOMwebClient(url=gateway.url, headers=gateway.headers, chunk_size=10_000)
    file = dicom(side=100)
    stored = client.store_instances([pydicom.dcmread(io.BytesIO(file))])
    assert len(stored.ReferencedSOPSequence) == 1


@pytest.mark.parametrize("form", ["multipart", "single"])
def test_curl_stores_an_instance(gateway, tmp_path, form):
    file = dicom()
    body = tmp_path / "body"
    body.write_bytes(multipart([file]) if form == "multipart" else file)
    content_type = TYPE if form == "multipart" else "application/dicom"
    done = subprocess.run(
        ["curl", "-sS", "-w", "\n%{http_code}", "--data-binary", f"@{body}", "-H", f"Content-Type: {content_type}",
         "-H", f"Authorization: Bearer {gateway.token}", "-H", "Expect: 100-continue",
         "-H", "Transfer-Encoding: chunked", f"{gateway.url}/studies"],
        capture_output=True, text=True, timeout=WAIT_S, check=True,
    )  # fmt: skip
    assert done.stdout.endswith("\n200")
    assert published(gateway, {len(file)})


@pytest.mark.parametrize(
    ("content_type", "headers"),
    [
        pytest.param(TYPE, "Content-Type: application/dicom\r\n", id="as in the standard"),
        pytest.param(TYPE.replace('"', ""), "Content-Type: application/dicom\r\n", id="type not quoted"),
        pytest.param(
            f'multipart/related; boundary="{BOUNDARY}"', "Content-Type: application/dicom\r\n", id="no type"
        ),
        pytest.param(
            f'Multipart/Related; TYPE="application/dicom"; BOUNDARY="{BOUNDARY}"',
            "CONTENT-TYPE: Application/DICOM\r\n",
            id="other case",
        ),
        pytest.param(
            TYPE,
            "Content-Type: application/dicom; transfer-syntax=1.2.840.10008.1.2.1\r\n",
            id="transfer syntax",
        ),
        pytest.param(
            TYPE,
            'Content-Type: application/dicom; transfer-syntax="1.2.840.10008.1.2.1"\r\n',
            id="and quoted",
        ),
        pytest.param(TYPE, "", id="no part headers"),
        pytest.param(TYPE, "Content-Type: application/octet-stream\r\n", id="octet stream"),
        pytest.param(
            TYPE,
            "Content-Type: application/dicom\r\nContent-Length: 99\r\nContent-ID: <1@x>\r\nMIME-Version: 1.0\r\n"
            'Content-Disposition: attachment; filename="Pl\u00e4nted \\"x\\".dcm"\r\n',
            id="more headers, a wrong length and a nested quote among them",
        ),
    ],
)
def test_forms_that_senders_use_are_understood(gateway, content_type, headers):
    response = post(gateway, multipart([dicom()], headers=headers), content_type)
    assert response.status_code == 200
    assert len(answer(response).ReferencedSOPSequence) == 1


@pytest.mark.parametrize("accept", ["application/dicom+xml", "application/dicom+json"])
def test_the_answer_comes_in_the_form_that_is_asked_for(gateway, accept):
    response = post(gateway, multipart([dicom()]), Accept=accept)
    assert response.headers["Content-Type"] == accept


def test_preamble_epilogue_and_lone_line_feeds_are_read(gateway):
    body = multipart([dicom()]).replace(b"\r\n", b"\n") + b"epilogue"
    assert post(gateway, b"preamble\n" + body).status_code == 200


def test_the_same_request_again_is_success_without_a_second_event(gateway):
    body = multipart([dicom(), dicom()])
    assert post(gateway, body).status_code == 200
    connections = opened(gateway)
    before = len(received(connections))
    assert post(gateway, body).status_code == 200
    assert len(received(connections)) == before
    connections.close()


def test_a_study_in_the_path_holds_for_every_instance(gateway):
    study = generate_uid()
    response = post(gateway, multipart([dicom(study), dicom()]), path=f"/studies/{study}")
    assert response.status_code == 202
    assert len(answer(response).ReferencedSOPSequence) == 1
    assert [item.FailureReason for item in answer(response).FailedSOPSequence] == [43265]
    assert post(gateway, multipart([dicom()]), path=f"/studies/{study}").status_code == 409


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        ("", 401),
        ("Bearer wrong", 401),
        ("Basic bm90aGluZw==", 401),
        ("Basic {basic}", 200),
        ("Bearer {reader}", 403),
        ("Bearer {elsewhere}", 403),
    ],
)
def test_a_credential_decides_who_may_store(gateway, authorization, status):
    path = gateway.folder / "credentials.json"
    values = {
        "basic": base64.b64encode(f"sender:{gateway.token}".encode()).decode(),
        "reader": new_token(path, "north", "radiologist", "reader"),
        "elsewhere": new_token(path, "unknown-site", "gateway", "sender"),
    }
    response = post(gateway, multipart([dicom()]), Authorization=authorization.format(**values))
    assert response.status_code == status
    assert ("WWW-Authenticate" in response.headers) == (status == 401)


def archive() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("Planted^Name.dcm", dicom())
    return out.getvalue()


def claims_two_gigabytes() -> bytes:
    return (
        dicom(drop=["PixelData"]) + b"\xe0\x7f\x10\x00OW\0\0" + (2**31).to_bytes(4, "little") + b"\0" * 1024
    )


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        pytest.param(b"", "empty", id="empty file"),
        pytest.param(dicom(patient="Planted^Name", side=64)[:-100], "truncated", id="truncated file"),
        pytest.param(b"Planted^Name" * 100, "not-dicom", id="not DICOM"),
        pytest.param(claims_two_gigabytes(), "truncated", id="2 GB element, 1 kB of it"),
        pytest.param(archive(), "archive", id="zip"),
        pytest.param(
            dicom(patient="Planted^Name", drop=["SeriesInstanceUID"]), "missing-uid", id="missing UID"
        ),
        pytest.param(
            dicom(changes={"StudyInstanceUID": "../../Planted^Name"}), "invalid-uid", id="path-like UID"
        ),
    ],
)
def test_a_bad_part_is_quarantined_and_the_good_one_beside_it_stored(gateway, part, reason):
    good = dicom(side=9)
    alone, both = post(gateway, multipart([part])), post(gateway, multipart([part, good]))
    assert (alone.status_code, both.status_code) == (409, 202)
    assert [item.FailureReason for item in answer(both).OtherFailuresSequence] == [0xC000]
    assert len(answer(both).ReferencedSOPSequence) == 1
    connections = opened(gateway)
    day = time.strftime("%Y-%m-%d", time.gmtime())
    newest = connections.tables.select(QuarantinedObjectRow, site="north", day=day)[0]
    kept = connections.sealed.read(
        QUARANTINE, newest.object_key or "", site="north", study="", purpose="test"
    )
    connections.close()
    assert (newest.reason, kept) == (reason, part)
    assert "Planted" not in alone.text + both.text + str(both.headers) + gateway.log


@pytest.mark.parametrize(
    ("body", "content_type", "status", "reason"),
    [
        pytest.param(
            b"x", "multipart/related; type=application/dicom", 400, "boundary", id="missing boundary"
        ),
        pytest.param(
            b"x", "multipart/related; boundary=" + "x" * 71, 400, "boundary", id="boundary too long"
        ),
        pytest.param(b"x", "text/plain", 415, "media-type", id="wrong content type"),
        pytest.param(b"x", "", 415, "media-type", id="no content type"),
        pytest.param(b"x", "application/zip", 415, "media-type", id="zip"),
        pytest.param(
            b"x",
            TYPE.replace("application/dicom", "application/dicom+json"),
            415,
            "media-type",
            id="metadata and bulk",
        ),
        pytest.param(b"", TYPE, 400, "truncated", id="no body"),
        pytest.param(f"--{BOUNDARY}--".encode(), TYPE, 400, "no-parts", id="no parts"),
        pytest.param(b"Planted^Name" * 9000, TYPE, 400, "preamble", id="never a boundary"),
        pytest.param(
            f"--{BOUNDARY}\r\n".encode() + b"A: Planted^Name\r\n" * 5000,
            TYPE,
            400,
            "part-headers",
            id="header bomb",
        ),
        pytest.param(multipart([dicom()])[:-80], TYPE, 400, "truncated", id="ends inside a part"),
    ],
)
def test_a_bad_request_is_refused_with_a_clear_error(gateway, body, content_type, status, reason):
    response = post(gateway, body, content_type)
    assert response.status_code == status
    assert response.json()["error"] == reason
    assert response.json()["detail"]
    assert "Planted" not in response.text + gateway.log


def test_a_compressed_body_is_refused(gateway):
    response = post(gateway, b"x", Content_Encoding="gzip")
    assert (response.status_code, response.json()["error"]) == (415, "content-encoding")


def test_a_path_that_is_no_uid_is_refused(gateway):
    assert post(gateway, multipart([dicom()]), path="/studies/..%2F..%2Fetc").status_code in (400, 404)
    assert post(gateway, multipart([dicom()]), path="/studies/Planted^Name").status_code == 400


def test_a_bomb_of_request_headers_ends_the_connection_and_nothing_else(gateway):
    connection = raw_connection(gateway, "Content-Length: 1\r\n")
    first = b""
    with contextlib.suppress(ConnectionError):  # it may close before all was sent
        connection.sendall(b"X-Header: y\r\n" * 200_000)
        first = connection.recv(1000)
    connection.close()
    assert b" 200 " not in first
    assert post(gateway, multipart([dicom()])).status_code == 200


def test_whole_parts_before_a_cut_are_stored_and_reported(gateway):
    good = dicom()
    cut = multipart([good, dicom()])[: len(good) + 200]
    response = post(gateway, cut)
    assert response.status_code == 202
    assert len(answer(response).ReferencedSOPSequence) == 1
    assert len(answer(response).OtherFailuresSequence) == 1


def test_the_same_part_twice_in_one_request_is_stored_once(gateway):
    part = dicom(side=31)
    response = post(gateway, multipart([part, part]))
    assert (response.status_code, len(answer(response).ReferencedSOPSequence)) == (200, 2)
    connections = opened(gateway)
    assert [each.size for event in received(connections) for each in event.instances].count(len(part)) == 1
    connections.close()


@pytest.mark.parametrize(("length", "side"), [(2 * 1024**3, 33), (100_000, 43)])
def test_a_sender_that_goes_away_in_the_middle_leaves_nothing_and_may_send_again(gateway, length, side):
    whole, half = dicom(side=side), dicom(side=side + 1)
    body = multipart([whole, half])
    connections = opened(gateway)
    before = {each.key for each in connections.objects.keys(RAW)}
    warnings = gateway.log.count("sender went away")
    connection = raw_connection(gateway, f"Content-Type: {TYPE}\r\nContent-Length: {length}\r\n")
    connection.sendall(body[:-500])
    connection.close()
    wait_until(lambda: gateway.log.count("sender went away") > warnings, "the gateway has seen it go")
    assert {each.key for each in connections.objects.keys(RAW)} == before
    connections.close()
    assert published(gateway, {len(whole), len(half)}) == set()
    assert post(gateway, body).status_code == 200
    assert published(gateway, {len(whole), len(half)}) == {len(whole), len(half)}


def large(size: int) -> Iterator[bytes]:
    """A multipart body with one instance of about `size` bytes, made as it is sent."""
    pixels = size - size % 2
    head = (
        dicom(generate_uid(), drop=["PixelData"]) + b"\xe0\x7f\x10\x00OW\0\0" + pixels.to_bytes(4, "little")
    )
    yield f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode() + head
    block = hashlib.shake_256(b"pixels").digest(MEGABYTE)
    for start in range(0, pixels, MEGABYTE):
        yield block[: min(MEGABYTE, pixels - start)]
    yield f"\r\n--{BOUNDARY}--\r\n".encode()


def resident(gateway: GatewayProcess) -> int:
    """Bytes of memory that the gateway's process holds."""
    return int(psutil.Process(gateway.process.pid).memory_info().rss)


def test_memory_stays_bounded_while_a_large_instance_streams_in(gateway):
    assert post(gateway, multipart([dicom()])).status_code == 200
    before = resident(gateway)
    peak = before

    def watched() -> Iterator[bytes]:
        nonlocal peak
        for number, piece in enumerate(large(STREAM_BYTES)):
            if number % 16 == 0:
                peak = max(peak, resident(gateway))
            yield piece

    response = requests.post(
        gateway.url + "/studies",
        data=watched(),
        headers=gateway.headers | {"Content-Type": TYPE},
        timeout=600,
    )
    peak = max(peak, resident(gateway))
    assert response.status_code == 200
    assert peak - before <= MEMORY_BOUND


def test_more_requests_at_once_than_it_takes_are_told_to_wait(gateway):
    waiting = [
        raw_connection(gateway, f"Content-Type: {TYPE}\r\nContent-Length: 1000\r\n") for _ in range(16)
    ]
    for connection in waiting:
        connection.sendall(f"--{BOUNDARY}\r\n\r\n".encode())
    refused: list[requests.Response] = []

    def is_refused() -> bool:
        refused.append(post_once(gateway, multipart([dicom()])))
        return refused[-1].status_code == 503

    wait_until(is_refused, "one is told to wait")
    assert int(refused[-1].headers["Retry-After"]) > 0
    for connection in waiting:
        connection.close()
    wait_until(lambda: post_once(gateway, multipart([dicom()])).status_code == 200, "one is taken again")


def test_other_methods_are_refused(gateway):
    assert requests.get(gateway.url + "/studies", headers=gateway.headers, timeout=WAIT_S).status_code == 405


@pytest.mark.parametrize("point", ["after-store", "after-effect", "after-publish", "before-acknowledge"])
def test_a_sender_that_sends_again_after_a_kill_loses_nothing_and_doubles_no_event(tmp_path, point, cluster):
    study = generate_uid()
    files = [dicom(study, side=side) for side in (10, 11, 12)]
    with gateway_process(tmp_path, cluster) as gateway:
        faults = gateway.folder / "data" / "faults"
        faults.mkdir(exist_ok=True)
        (faults / "stow").write_text(f"{point} 1")
        with pytest.raises((requests.ConnectionError, http.client.HTTPException)):
            post(gateway, multipart(files))
        gateway.process.wait(WAIT_S)
        assert (faults / "stow.fired").exists()
        restart(gateway)
        assert post(gateway, multipart(files)).status_code == 200
        connections = opened(gateway)
        issuer = connections.settings.site("north").issuer
        key = connections.pseudonyms("north").study(issuer, study)
        events = [event for event in received(connections) if event.envelope.study == key]
        told = [(event.envelope.event_id, each) for event in events for each in event.instances]
        # A machine that is slow for seconds makes two events of them, with an instance in one of them only.
        assert len({(event_id, each.instance) for event_id, each in told}) == len(files)
        assert {each.size for _, each in told} == {len(file) for file in files}
        plain = {
            connections.sealed.read(RAW, each.object_key, site="north", study="", purpose="test")
            for _, each in told
        }
        connections.close()
        assert plain == set(files)


def test_a_running_request_is_answered_before_the_gateway_ends(tmp_path, cluster):
    with gateway_process(tmp_path, cluster) as gateway:
        body = multipart([dicom()])
        head = f"Content-Type: {TYPE}\r\nContent-Length: {len(body)}\r\nExpect: 100-continue\r\n"
        connection = raw_connection(gateway, head)
        assert b" 100 " in connection.recv(1000)  # it reads: the request runs
        connection.sendall(body[:400])
        gateway.process.terminate()
        connection.sendall(body[400:])
        assert b" 200 " in connection.recv(1000).split(b"\r\n")[0]
        connection.close()
        assert gateway.process.wait(WAIT_S) == 0
