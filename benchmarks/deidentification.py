"""De-identification against pydicom, against SHA-256 of the payload, and file to file against a raw copy.

Everything is measured as processor time of one process, in one run, alternating (A B A B ...); the best round counts, as other
work on the machine only ever adds. The files are generated: a CT slice of half a megabyte and an enhanced MR with nested groups.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence

from cli.demo_studies import public_file
from schemas.identifiers import PseudonymKey, Pseudonyms
from stream_processors.deidentification import DEFAULT, deidentify, plan

ROUNDS = 25
FILES = 40
"""Files of the comparison on disk."""
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


def _best(ways: dict[str, Callable[[], object]], times: int) -> dict[str, float]:
    """Milliseconds of one call of each way; the ways take turns."""
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(ROUNDS):
        for name, way in ways.items():
            began = time.process_time()
            for _ in range(times):
                way()
            best[name] = min(best[name], (time.process_time() - began) * 1000 / times)
    return best


def _on_disk(raw: bytes, folder: Path) -> dict[str, float]:
    source, target = folder / "source.dcm", folder / "target.dcm"
    source.write_bytes(raw)

    def walk() -> None:
        read = source.read_bytes()
        with target.open("wb", buffering=0) as out:
            for buffer in plan(read, len(read), NAMES, DEFAULT).buffers(read):
                out.write(buffer)

    def verified() -> None:
        target.write_bytes(deidentify(source.read_bytes(), NAMES).data)

    ways: dict[str, Callable[[], object]] = {
        "copy": lambda: shutil.copyfile(source, target),
        "walk": walk,
        "verified": verified,
    }
    return _best(ways, FILES // 8)


def measure() -> list[Cost]:
    """Measure both files."""
    costs = []
    with tempfile.TemporaryDirectory() as folder:
        for name, raw in (("CT slice", ct_slice()), ("enhanced MR", enhanced_mr())):
            ways: dict[str, Callable[[], object]] = {
                "walk": lambda raw=raw: plan(raw, len(raw), NAMES),
                "verified": lambda raw=raw: deidentify(raw, NAMES),
                "lazy": lambda raw=raw: _lazy(raw),
                "every": lambda raw=raw: _every(raw),
                "sha256": lambda raw=raw: hashlib.sha256(raw).digest(),
            }
            memory, disk = _best(ways, 2), _on_disk(raw, Path(folder))
            costs.append(
                Cost(name, *memory.values(), copy=disk["copy"], walk_to_file=disk["walk"],
                     verified_to_file=disk["verified"])
            )  # fmt: skip
    return costs


def section(costs: list[Cost]) -> str:
    """Write the figures as a section of the benchmarks' page."""
    memory = "\n".join(
        f"| {c.file} | {c.walk:.2f} | {c.verified:.2f} | {c.pydicom_every / c.walk:.1f} "
        f"| {c.pydicom_lazy / c.verified:.2f} | {c.pydicom_every / c.verified:.1f} | {c.sha256 / c.walk:.2f} |"
        for c in costs
    )
    disk = "\n".join(
        f"| {c.file} | {c.copy / c.walk_to_file:.2f} | {c.copy / c.verified_to_file:.2f} |" for c in costs
    )
    return f"""## De-identification against pydicom, a hash and a raw copy

Processor time of one process, best of {ROUNDS} alternating rounds, generated files. "Lazy" is pydicom's read and save, which
writes nested bytes back unread; "every element" reads each one, nested ones included, and saves.

| bytes to bytes | walk ms | verified ms | every element / walk | lazy / verified | every element / verified | SHA-256 / walk |
|---|---|---|---|---|---|---|
{memory}

| file to file, share of a raw copy's speed | walk | verified |
|---|---|---|
{disk}
"""


if __name__ == "__main__":
    sys.stdout.write(section(measure()))
