"""De-identification against pydicom, dicognito, dicom-anonymizer and gdcmanon, and file to file against a raw copy.

Everything is measured as processor time, in one run, alternating (A B A B ...); the best round counts, as other work on the
machine only ever adds. No file is given twice to anybody, but where the same one again and again is what is measured: a
series' slices differ in their UIDs, numbers and positions, other files in their patient, too. A peer that is not installed
is named as absent.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import io
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pydicom
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from benchmarks.deidentification_files import SLICES, Kind, Way, kinds
from benchmarks.limits import verdict
from schemas.identifiers import PseudonymKey, Pseudonyms
from stream_processors.deidentification import deidentify, plan
from stream_processors.deidentification.files import deidentify_file

ROUNDS = 12
SLOW = 3
"""Files of one round for what takes more than some milliseconds a file."""
LARGE, MOST_LARGE = 1_000_000, 8
"""bytes of a file of which a round from file to file has no more than so many."""
COPIES = 20
"""Files that gdcmanon is given at once."""
NAMES = Pseudonyms(PseudonymKey("benchmark", hashlib.sha256(b"a benchmark's key").digest()))


LIMITS = (
    ("CT", "memory", "every", "walk", 20), ("CT", "memory", "dicognito", "walk", 60), ("CT", "memory", "lazy", "verified", 1),
    ("enhanced MR", "memory", "every", "walk", 20), ("enhanced MR", "memory", "dicognito", "walk", 40),
    ("enhanced MR", "memory", "every", "verified", 10), ("CT", "disk", "copy", "walk", 0.5), ("DX", "disk", "copy", "walk", 0.5),
)  # fmt: skip
"""What is asked for: of which files, where, how many times the one takes the other's time at least."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Milliseconds of processor time for one file, best of all rounds."""

    file: str
    memory: dict[str, float]
    """`walk`, `verified`, `lazy`, `every`, `sha256`, and peers; a peer that is absent, or fails on the file, is left out."""
    disk: dict[str, float]
    """`copy`, `walk` and `verified`, file to file."""

    def of(self, slower: str, faster: str) -> float:
        """Say how many times as fast one is as another."""
        return self.memory[slower] / self.memory[faster]


def _lazy(raw: bytes) -> None:
    pydicom.dcmread(io.BytesIO(raw)).save_as(io.BytesIO())


def _every(raw: bytes) -> None:
    made = pydicom.dcmread(io.BytesIO(raw))
    made.walk(lambda _data_set, _element: None)
    made.save_as(io.BytesIO())


def _walk(raw: bytes) -> None:
    plan(raw, len(raw), NAMES)


def _verified(raw: bytes) -> None:
    deidentify(raw, NAMES)


def _sha256(raw: bytes) -> None:
    hashlib.sha256(raw).digest()


def _dicognito() -> Way:
    anonymizer = importlib.import_module("dicognito.anonymizer").Anonymizer(seed="benchmark")

    def run(raw: bytes) -> None:
        made = pydicom.dcmread(io.BytesIO(raw))
        anonymizer.anonymize(made)
        made.save_as(io.BytesIO())

    return run


def _dicom_anonymizer() -> Way:
    peer = importlib.import_module("dicomanonymizer")

    def run(raw: bytes) -> None:
        made = pydicom.dcmread(io.BytesIO(raw))
        peer.anonymize_dataset(made)
        made.save_as(io.BytesIO())

    return run


PEERS: dict[str, tuple[str, Callable[[], Way]]] = {
    "dicognito": ("dicognito", _dicognito),
    "dicom-anonymizer": ("dicomanonymizer", _dicom_anonymizer),
}
"""Name, module, and how it is run on bytes."""


def _peers(kind: Kind) -> dict[str, Way]:
    found: dict[str, Way] = {}
    for name, (module, build) in PEERS.items():
        if importlib.util.find_spec(module) is None:
            continue
        run = build()
        try:
            run(kind.template)
        except Exception as error:  # noqa: BLE001 - a peer that fails on a file is said to
            sys.stderr.write(f"{name} fails: {type(error).__name__}\n")
            continue
        found[name] = run
    return found


def _in_memory(kind: Kind) -> dict[str, float]:
    """Milliseconds of one call of each way; the ways take turns, and each round is a series of its own, made before it."""
    ways: dict[str, tuple[Way, int]] = {
        "walk": (_walk, kind.most),
        "verified": (_verified, kind.most),
        "sha256": (_sha256, SLOW),
        "lazy": (_lazy, SLOW),
        "every": (_every, SLOW),
        **{name: (way, SLOW) for name, way in _peers(kind).items()},
    }
    best, files = dict.fromkeys(ways, float("inf")), _files(kind)
    for _ in range(ROUNDS):
        for name, (way, most) in ways.items():
            made = next(files)
            given = [made(each) for each in range(most)]
            began = time.process_time()
            for raw in given:
                way(raw)
            best[name] = min(best[name], (time.process_time() - began) * 1000 / most)
    return best


def _files(kind: Kind) -> Iterator[Callable[[int], bytes]]:
    """Give series without an end, each as what makes the files of it."""
    for series in count(1):
        yield lambda each, series=series: kind.file(series * 100 + each, series)  # type: ignore[misc]


def _on_disk(kind: Kind, folder: Path) -> dict[str, float]:
    most = MOST_LARGE if len(kind.template) > LARGE else kind.most
    source, target = [folder / f"source-{each}.dcm" for each in range(most)], folder / "target.dcm"
    ways: dict[str, Callable[[Path], object]] = {
        "copy": lambda each: shutil.copyfile(each, target),
        "walk": lambda each: deidentify_file(each, target, NAMES, verified=False),
        "verified": lambda each: deidentify_file(each, target, NAMES),
    }
    best, files = dict.fromkeys(ways, float("inf")), _files(kind)
    for _ in range(ROUNDS):
        for name, way in ways.items():
            made = next(files)
            for each, path in enumerate(source):
                path.write_bytes(made(each))
            began = time.process_time()
            for path in source:
                way(path)
            best[name] = min(best[name], (time.process_time() - began) * 1000 / most)
    return best


def _gdcmanon(kind: Kind, folder: Path) -> float | None:
    """Milliseconds of processor time for one file by the Basic Profile (`-e`); None where it refuses the file.

    It is given many files at once, so that its start is shared; its start alone is in the time, too.
    """
    given, made, certificate = folder / "given", folder / "made", folder / "certificate.pem"
    if not certificate.exists():
        certificate.write_bytes(_certificate())
    for each in (given, made):
        shutil.rmtree(each, ignore_errors=True)
        each.mkdir()
    for number in range(COPIES):
        (given / f"{number}.dcm").write_bytes(kind.file(number, 1))
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


def measure() -> list[Cost]:
    """Measure all kinds of files."""
    costs = []
    for kind in kinds():
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            memory, disk = _in_memory(kind), _on_disk(kind, folder)
            gdcm = _gdcmanon(kind, folder) if shutil.which("gdcmanon") else None
        costs.append(Cost(kind.name, memory if gdcm is None else memory | {"gdcmanon": gdcm}, disk))
    return costs


def missed(costs: list[Cost]) -> list[str]:
    """Name the ratios that stay under their limit."""
    below = []
    for cost in costs:
        for prefix, where, slower, faster, least in LIMITS:
            found = getattr(cost, where)
            if cost.file.startswith(prefix) and slower in found and found[slower] / found[faster] < least:
                what = f"{slower} / {faster}" + (", file to file" if where == "disk" else "")
                below.append(f"{cost.file}: {what} {found[slower] / found[faster]:.2f} of {least:g}")
    return below


def section(costs: list[Cost]) -> str:
    """Write the figures as a section of the benchmarks' page."""
    memory = "\n".join(
        f"| {c.file} | {c.memory['walk']:.2f} | {c.memory['verified']:.2f} | {c.of('every', 'walk'):.1f} "
        f"| {c.of('lazy', 'verified'):.2f} | {c.of('every', 'verified'):.1f} | {c.of('sha256', 'walk'):.2f} |"
        for c in costs
    )
    peers = "\n".join(
        f"| {c.file} | {' | '.join(_cell(c, name) for name in (*PEERS, 'gdcmanon'))} |" for c in costs
    )
    disk = "\n".join(
        f"| {c.file} | {c.disk['copy']:.2f} | {c.disk['copy'] / c.disk['walk']:.2f} | {c.disk['copy'] / c.disk['verified']:.2f} |"
        for c in costs
        if not c.file.startswith("US")
    )
    return f"""## De-identification against pydicom, a hash and a raw copy

Processor time of one process, best of {ROUNDS} alternating rounds, generated files. Nobody is given a file twice, but in the line
that says so: the slices of a series differ in UIDs, numbers and positions, and each round is a series of {SLICES} of a new
patient, its first slice included, that lies in memory before the time is taken; "a patient each" is a new patient, study and
series in every file. "Lazy" is pydicom's read and save, which writes nested bytes back unread; "every element" reads each one,
nested ones included, and saves.

| bytes to bytes | walk ms | verified ms | every element / walk | lazy / verified | every element / verified | SHA-256 / walk |
|---|---|---|---|---|---|---|
{memory}

| ms, and times the walk | {" | ".join((*PEERS, "gdcmanon"))} |
|---|{"---|" * (len(PEERS) + 1)}
{peers}

The walk stops before the pixels' bytes, which are handed on as a range; peers read them and write them. `gdcmanon -e` (the Basic
Profile) runs file to file, {COPIES} files at a time. A US image's pixels are withheld, so there is no file to write.

| file to file | raw copy ms | walk, share of a raw copy's speed | verified |
|---|---|---|---|
{disk}

At least: on CT 20 times every element, 60 times dicognito, verified no slower than lazy; on the enhanced MR 20 and 40 times,
verified 10 times every element; file to file half of a raw copy's speed on CT and DX.
{verdict(missed(costs))}
Another patient in every CT slice is the worst there is: nothing of a file repeats the one before.
Load of the machine over the run: {os.getloadavg()[1]:.1f} on {os.cpu_count()} cores.
"""


def _cell(cost: Cost, name: str) -> str:
    return (
        f"{cost.memory[name]:.1f} ({cost.of(name, 'walk'):.0f})" if name in cost.memory else "absent or fails"
    )


if __name__ == "__main__":
    sys.stdout.write(section(measure()))
