"""Builders for gateway tests: settings, connections, tiny DICOM files, multipart bodies, a gateway process."""

from __future__ import annotations

import contextlib
import io
import json
import os
import secrets
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid

from runtime.connections import Connections, connect
from runtime.credentials import new_token
from runtime.ports import Record
from runtime.prepare import prepare
from runtime.settings import ClusterSettings, Settings
from schemas import events
from schemas.codec import decode

SITES = ("north", "south")
TOPIC = "instance.received.v1"
BOUNDARY = "radstream-test-boundary"
START_S = 300.0
"""seconds a gateway process may take to announce its address."""


def write_settings(folder: Path, cluster: ClusterSettings | None = None) -> Path:
    """Settings of a run in `folder`, its secrets in files beside them; embedded, unless it is told how to reach engines."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("pseudonym", "vault", "session"):
        (folder / name).write_bytes(secrets.token_bytes(32))
    credentials = folder / "credentials.json"
    credentials.write_text("[]")
    settings = Settings.model_validate(
        {
            "data": str(folder / "data"),
            "sites": [{"name": site} for site in SITES],
            "keys": {
                "pseudonym": f"file:{folder}/pseudonym",
                "pseudonym_key_id": "test-1",
                "vault": f"file:{folder}/vault",
                "vault_key_id": "test-1",
                "session": f"file:{folder}/session",
                "credentials": f"file:{credentials}",
            },
            "log_level": "DEBUG",
            **({} if cluster is None else {"profile": "cluster", "cluster": cluster}),
        }
    )
    path = folder / "settings.toml"
    settings.write(path)
    return path


def connections_in(folder: Path, component: str = "stow") -> Connections:
    """Connections of an embedded run, its topics and buckets made."""
    settings = Settings.model_validate(_toml(write_settings(folder)))
    return prepared(connect(settings, component))


def prepared(connections: Connections) -> Connections:
    """Make what a launcher makes before the first process starts."""
    prepare(connections, ["stow"])
    return connections


def _toml(path: Path) -> dict[str, object]:
    return tomllib.loads(path.read_text("utf-8"))


@disable_value_validation()  # invalid values are what some tests are about
def dicom(
    study: str = "",
    *,
    series: str = "",
    instance: str = "",
    patient: str = "Secret^Patient",
    side: int = 8,
    syntax: str = ExplicitVRLittleEndian,
    changes: dict[str, object] | None = None,
    drop: Sequence[str] = (),
) -> bytes:
    """A small, valid X-ray; `changes` sets elements by keyword, `drop` removes them."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    meta.MediaStorageSOPInstanceUID = UID(instance) if instance else generate_uid()
    meta.TransferSyntaxUID = UID(syntax)
    dataset = Dataset()
    dataset.file_meta, dataset.preamble = meta, b"\0" * 128
    dataset.SOPClassUID = ComputedRadiographyImageStorage
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID = study or generate_uid()
    dataset.SeriesInstanceUID = series or generate_uid()
    dataset.PatientName, dataset.PatientID = patient, "ID-4711"
    dataset.AccessionNumber, dataset.StudyDate, dataset.Modality = "ACC-0815", "20250102", "CR"
    dataset.Rows = dataset.Columns = side
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.SamplesPerPixel, dataset.PixelRepresentation = 15, 1, 0
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.PixelData = np.arange(side * side, dtype="<u2").tobytes()
    for name, value in (changes or {}).items():
        setattr(dataset, name, value)
    for name in drop:
        delattr(dataset, name)
    return saved(dataset)


def saved(dataset: Dataset) -> bytes:
    """A data set as the bytes of a file."""
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=False)
    return out.getvalue()


def multipart(parts: Sequence[bytes], *, headers: str = "Content-Type: application/dicom\r\n") -> bytes:
    """A `multipart/related` body with the test's boundary."""
    body = b"".join(f"--{BOUNDARY}\r\n{headers}\r\n".encode() + part + b"\r\n" for part in parts)
    return body + f"--{BOUNDARY}--\r\n".encode()


def records(connections: Connections, topic: str = TOPIC) -> list[Record]:
    """Every record of a topic, partition by partition."""
    return [
        record
        for partition, end in connections.log.end_offsets(topic).items()
        if end
        for record in connections.log.read(topic, partition, 0, end)
    ]


def received(connections: Connections) -> list[events.InstanceReceived]:
    """Every published `InstanceReceived`."""
    found = [decode(record.value, connections.registry) for record in records(connections)]
    return [event for event in found if isinstance(event, events.InstanceReceived)]


@dataclass
class GatewayProcess:
    """A running STOW-RS gateway."""

    url: str
    token: str
    folder: Path
    process: subprocess.Popen[bytes]
    settings: Path

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    @property
    def log(self) -> str:
        return (self.folder / "stow.log").read_text("utf-8")


@contextlib.contextmanager
def gateway_process(folder: Path, cluster: ClusterSettings | None = None) -> Iterator[GatewayProcess]:
    """Run `python -m producers stow` on a free port until the block ends."""
    path = write_settings(folder, cluster)
    settings = Settings.model_validate(_toml(path))
    connections = prepared(connect(settings, "test"))
    connections.close()
    token = new_token(folder / "credentials.json", "north", "gateway", "sender")
    process = _start(folder, path)
    gateway = GatewayProcess("", token, folder, process, path)
    try:
        gateway.url = _address(folder / "data" / "run" / "stow.json", process)
        yield gateway
    finally:
        gateway.process.kill()
        gateway.process.wait()


def restart(gateway: GatewayProcess) -> None:
    """Start the gateway again after it died; it takes another port."""
    (gateway.folder / "data" / "run" / "stow.json").unlink(missing_ok=True)
    gateway.process = _start(gateway.folder, gateway.settings)
    gateway.url = _address(gateway.folder / "data" / "run" / "stow.json", gateway.process)


def opened(gateway: GatewayProcess) -> Connections:
    """Connections to the run of a gateway process, to look at what it did."""
    return connect(Settings.model_validate(_toml(gateway.settings)), "test")


def _start(folder: Path, settings: Path) -> subprocess.Popen[bytes]:
    environment = os.environ | {"RADSTREAM_SETTINGS": str(settings), "RADSTREAM_PARENT_DEATH": "1"}
    with (folder / "stow.log").open("ab") as log:
        return subprocess.Popen([sys.executable, "-m", "producers", "stow"], env=environment, stderr=log)


def _address(path: Path, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(FileNotFoundError):
            if address := json.loads(path.read_text("utf-8"))["address"]:
                return str(address)
        time.sleep(0.05)
    raise AssertionError("the gateway did not start")
