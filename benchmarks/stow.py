"""STOW-RS ingest against a raw copy into the same store.

The limit is `Objects.put` of the same bytes into the very store that the gateway uses (a folder, or S3), by as many threads as
there are connections: no DICOM, no encryption, no header, no vault, no log.
Runs alternate (A B A B ...) and the medians are compared.
"""

from __future__ import annotations

import io
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
import numpy as np
from pydicom import dcmread
from pydicom.uid import generate_uid

from benchmarks.system import System
from cli import stow_client
from cli.demo_studies import public_file, with_own_uids

SLICES = 40
"""Instances in a study: a short CT series."""
STUDIES = 4
"""Studies in one run, one request each."""
SIDE = 512
"""Rows and columns of a slice; with 16 bits half a megabyte of noise, which nothing compresses."""
ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Rate:
    """Median megabytes per second of both ways with one number of connections."""

    connections: int
    stow: float
    raw_copy: float

    @property
    def ratio(self) -> float:
        """Share of the raw copy's speed that STOW reaches."""
        return self.stow / self.raw_copy


def ct_study(seed: int, slices: int = SLICES) -> tuple[str, list[bytes]]:
    """A CT study's UID and files, with UIDs of its own: the public header, noise for pixels."""
    noise = np.random.default_rng(seed)
    dataset = dcmread(io.BytesIO(public_file("CT_small.dcm")))
    dataset.Rows = dataset.Columns = SIDE
    dataset.PixelData = noise.integers(0, 4096, (SIDE, SIDE), dtype=np.uint16).tobytes()
    if "DataSetTrailingPadding" in dataset:
        del dataset.DataSetTrailingPadding
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    study_uid, files = with_own_uids(out.getvalue(), slices, f"BENCH{seed}")
    return study_uid, list(files)


def timed(
    work: Callable[[Sequence[bytes]], None], studies: Sequence[Sequence[bytes]], connections: int
) -> float:
    """Megabytes per second of bringing all studies in, several at once."""
    size = sum(len(file) for study in studies for file in study)
    began = time.perf_counter()
    with ThreadPoolExecutor(connections) as pool:
        list(pool.map(work, studies))
    return size / 1e6 / (time.perf_counter() - began)


def measure(system: System) -> list[Rate]:
    """Compare both ways with one and with four connections."""
    raw = system.connections.objects
    raw.create_buckets(["bench"])

    def copy(study: Sequence[bytes]) -> None:
        for file in study:
            raw.put("bench", str(generate_uid(prefix=None)), file)

    def store(study: Sequence[bytes]) -> None:
        with httpx.Client(trust_env=False) as client:
            answer = stow_client.store(client, system.stow, system.tokens["north"], study)
        if len(answer.accepted) != len(study):
            raise RuntimeError(f"the gateway answered {answer.status} and took {len(answer.accepted)} files")

    rates = []
    seed = 0
    for connections in (1, 4):
        measured: dict[str, list[float]] = {"stow": [], "raw": []}
        for _ in range(ROUNDS):
            studies = [ct_study(seed := seed + 1)[1] for _ in range(STUDIES)]
            measured["raw"].append(timed(copy, studies, connections))
            measured["stow"].append(timed(store, studies, connections))
            system.wait_idle()
        rates.append(
            Rate(connections, statistics.median(measured["stow"]), statistics.median(measured["raw"]))
        )
    return rates
