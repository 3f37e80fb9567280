"""De-identification against pydicom, dicognito, dicom-anonymizer and gdcmanon, and file to file against a raw copy.

Everything is measured as processor time, in one run, alternating (A B A B ...); the best round counts, as other work on the
machine only ever adds. The files are generated: a CT slice of half a megabyte, a chest X-ray, an ultrasound image and an
enhanced MR with nested groups. A peer that is not installed is named as absent.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import io
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pydicom
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence

from cli.demo_studies import public_file
from schemas.identifiers import PseudonymKey, Pseudonyms
from stream_processors.deidentification import deidentify, plan
from stream_processors.deidentification.files import deidentify_file

ROUNDS = 25
FILES = 40
"""Files of the comparison on disk."""
COPIES = 20
"""Files that gdcmanon is given at once."""
FRAMES = 25
"""of the enhanced MR; with a private group in each functional group about 2,000 elements."""
NAMES = Pseudonyms(PseudonymKey("benchmark", hashlib.sha256(b"a benchmark's key").digest()))


@dataclass(frozen=True, slots=True)
class Cost:
    """Milliseconds of processor time for one file, best of all rounds."""

    file: str
    walk: float
    verified: float
    pydicom_lazy: float
    pydicom_every: float
    sha256: float
    copy: float
    """File to file."""
    walk_to_file: float
    verified_to_file: float
    peers: dict[str, float]
    """By name; a peer that is absent, or fails on the file, is left out. `gdcmanon` is file to file."""


def ct_slice() -> bytes:
    """A public CT header over 512 x 512 pixels of noise."""
    made = pydicom.dcmread(io.BytesIO(public_file("CT_small.dcm")))
    made.Rows = made.Columns = 512
    made.PixelData = np.random.default_rng(1).integers(0, 4096, (512, 512), dtype=np.uint16).tobytes()
    if "DataSetTrailingPadding" in made:
        del made.DataSetTrailingPadding
    return _written(made)


def enhanced_mr() -> bytes:
    """An enhanced MR: for each frame its functional groups, one of them private."""
    made = pydicom.dcmread(io.BytesIO(public_file("MR_small.dcm")))
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4.1"
    made.NumberOfFrames = FRAMES
    made.PixelData = made.PixelData * FRAMES
    made.PerFrameFunctionalGroupsSequence = Sequence([_frame(number) for number in range(FRAMES)])
    return _written(made)


def _frame(number: int) -> Dataset:
    content, position, orientation, echo, reference = (Dataset() for _ in range(5))
    content.FrameAcquisitionDateTime, content.FrameReferenceDateTime = "20200102101112", "20200102101113"
    content.FrameAcquisitionDuration, content.StackID, content.InStackPositionNumber = 12.5, "1", number + 1
    content.DimensionIndexValues, content.TemporalPositionIndex = [1, number + 1], 1
    position.ImagePositionPatient = [0, 0, number]
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    echo.EffectiveEchoTime = 30.0
    reference.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    reference.ReferencedSOPInstanceUID = f"1.2.826.0.1.3680043.9.7777.{number}"
    frame = Dataset()
    frame.FrameContentSequence, frame.PlanePositionSequence = Sequence([content]), Sequence([position])
    frame.PlaneOrientationSequence, frame.MREchoSequence = Sequence([orientation]), Sequence([echo])
    frame.ReferencedImageSequence = Sequence([reference])
    inner = Dataset()
    block = inner.private_block(0x0021, "BENCHMARK", create=True)
    for element in range(30):
        block.add_new(element, "LO", f"value {element}")
    frame.private_block(0x0021, "BENCHMARK", create=True).add_new(0xFE, "SQ", Sequence([inner]))
    return frame


def _written(made: FileDataset) -> bytes:
    out = io.BytesIO()
    made.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _lazy(raw: bytes) -> None:
    pydicom.dcmread(io.BytesIO(raw)).save_as(io.BytesIO())


def _every(raw: bytes) -> None:
    made = pydicom.dcmread(io.BytesIO(raw))
    made.walk(lambda _data_set, _element: None)
    made.save_as(io.BytesIO())


def _best(ways: dict[str, Callable[[], object]], times: int, rounds: int = ROUNDS) -> dict[str, float]:
    """Milliseconds of one call of each way; the ways take turns."""
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for name, way in ways.items():
            began = time.process_time()
            for _ in range(times):
                way()
            best[name] = min(best[name], (time.process_time() - began) * 1000 / times)
    return best


def chest() -> bytes:
    """A chest X-ray of 8 MB."""
    return _image("DX", "1.2.840.10008.5.1.4.1.1.1.1", 2000)


def ultrasound() -> bytes:
    """An ultrasound image."""
    return _image("US", "1.2.840.10008.5.1.4.1.1.6.1", 600)


def _image(modality: str, sop_class: str, side: int) -> bytes:
    made = pydicom.dcmread(io.BytesIO(public_file("MR_small.dcm")))
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = sop_class
    made.Modality = modality
    made.Rows = made.Columns = side
    made.PixelData = np.random.default_rng(2).integers(0, 4096, (side, side), dtype=np.uint16).tobytes()
    return _written(made)


def _dicognito() -> Callable[[bytes], object]:
    anonymizer = importlib.import_module("dicognito.anonymizer").Anonymizer(seed="benchmark")

    def run(raw: bytes) -> None:
        made = pydicom.dcmread(io.BytesIO(raw))
        anonymizer.anonymize(made)
        made.save_as(io.BytesIO())

    return run


def _dicom_anonymizer() -> Callable[[bytes], object]:
    peer = importlib.import_module("dicomanonymizer")

    def run(raw: bytes) -> None:
        made = pydicom.dcmread(io.BytesIO(raw))
        peer.anonymize_dataset(made)
        made.save_as(io.BytesIO())

    return run


PEERS: dict[str, tuple[str, Callable[[], Callable[[bytes], object]]]] = {
    "dicognito": ("dicognito", _dicognito),
    "dicom-anonymizer": ("dicomanonymizer", _dicom_anonymizer),
}
"""Name, module, and how it is run on bytes."""


def _peers(raw: bytes, folder: Path) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, (module, build) in PEERS.items():
        if importlib.util.find_spec(module) is None:
            continue
        run = build()
        try:
            run(raw)
        except Exception as error:  # noqa: BLE001 - a peer that fails on a file is said to
            sys.stderr.write(f"{name} fails: {type(error).__name__}\n")
            continue
        found |= _best({name: lambda run=run: run(raw)}, 1, rounds=8)  # type: ignore[misc]
    gdcm = _gdcmanon(folder) if shutil.which("gdcmanon") else None
    return found if gdcm is None else found | {"gdcmanon": gdcm}


def _gdcmanon(folder: Path) -> float | None:
    """Milliseconds of processor time for one file by the Basic Profile (`-e`); None where it refuses the file.

    It is given the file under many names, so that its start is shared; its start alone is in the time, too.
    """
    given, made, certificate = folder / "given", folder / "made", folder / "certificate.pem"
    if not certificate.exists():
        certificate.write_bytes(_certificate())
    for each in (given, made):
        shutil.rmtree(each, ignore_errors=True)
        each.mkdir()
    for number in range(COPIES):
        shutil.copyfile(folder / "source.dcm", given / f"{number}.dcm")
    best = float("inf")
    for _ in range(4):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            ["gdcmanon", "-e", "-c", certificate, "-r", "-i", given, "-o", made],
            check=False,
            capture_output=True,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode or not any(made.iterdir()):
            return None
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return best * 1000 / COPIES


def _certificate() -> bytes:
    """What `gdcmanon -e` encrypts the originals for."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "benchmark")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def _on_disk(raw: bytes, folder: Path) -> dict[str, float]:
    source, target = folder / "source.dcm", folder / "target.dcm"
    source.write_bytes(raw)
    ways: dict[str, Callable[[], object]] = {
        "copy": lambda: shutil.copyfile(source, target),
        "walk": lambda: deidentify_file(source, target, NAMES, verified=False),
        "verified": lambda: deidentify_file(source, target, NAMES),
    }
    return _best(ways, FILES // 8)


def measure() -> list[Cost]:
    """Measure all files."""
    made = {"CT slice": ct_slice(), "DX": chest(), "enhanced MR": enhanced_mr(), "US": ultrasound()}
    costs = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name, raw in made.items():
            ways: dict[str, Callable[[], object]] = {
                "walk": partial(plan, raw, len(raw), NAMES),
                "verified": partial(deidentify, raw, NAMES),
                "lazy": partial(_lazy, raw),
                "every": partial(_every, raw),
                "sha256": partial(hashlib.sha256, raw),
            }
            memory, disk = _best(ways, 6), _on_disk(raw, folder)
            costs.append(
                Cost(name, *memory.values(), copy=disk["copy"], walk_to_file=disk["walk"],
                     verified_to_file=disk["verified"], peers=_peers(raw, folder))
            )  # fmt: skip
    return costs


def _peer_lines(costs: list[Cost]) -> str:
    lines = []
    for name in (*PEERS, "gdcmanon"):
        cells = [
            f"{c.peers[name]:.2f} | {c.peers[name] / c.walk:.1f}" if name in c.peers else "absent or fails | "
            for c in costs
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def section(costs: list[Cost]) -> str:
    """Write the figures as a section of the benchmarks' page."""
    memory = "\n".join(
        f"| {c.file} | {c.walk:.2f} | {c.verified:.2f} | {c.pydicom_every / c.walk:.1f} "
        f"| {c.pydicom_lazy / c.verified:.2f} | {c.pydicom_every / c.verified:.1f} | {c.sha256 / c.walk:.2f} |"
        for c in costs
    )
    disk = "\n".join(
        f"| {c.file} | {c.copy / c.walk_to_file:.2f} | {c.copy / c.verified_to_file:.2f} |"
        for c in costs
        if c.file != "US"
    )
    return f"""## De-identification against pydicom, a hash and a raw copy

Processor time of one process, best of {ROUNDS} alternating rounds, generated files. "Lazy" is pydicom's read and save, which
writes nested bytes back unread; "every element" reads each one, nested ones included, and saves.

| bytes to bytes | walk ms | verified ms | every element / walk | lazy / verified | every element / verified | SHA-256 / walk |
|---|---|---|---|---|---|---|
{memory}

| peer | {" | ".join(f"{c.file}: ms | / walk" for c in costs)} |
|---|{"---|" * (2 * len(costs))}
{_peer_lines(costs)}

The walk stops before the pixels' bytes, which are handed on as a range; peers read them and write them. `gdcmanon -e` (the Basic
Profile) runs file to file, {COPIES} files at a time. A US image's pixels are withheld, so there is no file to write.

| file to file, share of a raw copy's speed | walk | verified |
|---|---|---|
{disk}
"""


if __name__ == "__main__":
    sys.stdout.write(section(measure()))
