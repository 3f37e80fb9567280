"""From the last byte of a chest X-ray to the page in the receiver's hands.

One study at a time, as an idle hospital would see it, then several at once. The limit is what the model itself costs for the
same image in one process without any of the system: decode, preprocess, run.
"""

from __future__ import annotations

import io
import json
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import onnxruntime
from pydicom import dcmread
from pydicom.uid import generate_uid

from benchmarks.system import QUIET_S, System
from cli import stow_client
from inference.models import cxr_demo
from inference.training.files import head_ct as generated_head_ct
from inference.training.phantoms import SyntheticIdentity, generate, to_dicom
from schemas.rows import StudyRow

STUDIES = 30
"""Studies measured one after the other."""
AT_ONCE = 16
"""Studies sent at the same moment."""
TIMEOUT_S = 60.0
"""Seconds to wait for a page that must come."""
PAGE_S = 10.0
"""Seconds after its result in which a study is paged, if it is paged at all."""
SERIES = 10
"""CT studies, one after the other."""
SLICES = 100
"""Slices of each, half a megabyte each."""
SIDE = 512
"""Rows and columns of a slice."""
BLEEDING = "intraparenchymal"
"""The kind that is drawn into each."""
SERIES_TIMEOUT_S = 300.0
"""Seconds to wait for a series to be complete."""
LOOK_S = 0.02
"""Seconds between two looks at a row."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds from last byte to page, and of the model alone."""

    alone_p50: float
    alone_p95: float
    burst_p50: float
    burst_p95: float
    model_p50: float


@dataclass(frozen=True, slots=True)
class SeriesLatency:
    """Seconds from a series' last byte, with the quiet window taken off: to "complete", to its result and to its page."""

    complete_p50: float
    complete_p95: float
    result_p50: float
    result_p95: float
    outcomes: tuple[str, ...]
    """Statuses of the results."""
    alerts: int
    """Studies that were paged: the model's sensitivity is its card's matter."""
    alert_p50: float
    alert_p95: float


class Pager:
    """A webhook receiver that notes when each study was paged."""

    def __init__(self) -> None:
        self.paged: dict[str, float] = {}
        self._arrived = threading.Condition()
        pager = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                at = time.perf_counter()
                study = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["study"]
                with pager._arrived:
                    pager.paged.setdefault(study, at)
                    pager._arrived.notify_all()
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        """Where to deliver."""
        return f"http://127.0.0.1:{self.server.server_address[1]}/"

    def wait(self, study: str, seconds: float) -> float | None:
        """Moment at which the study was paged (perf_counter seconds), None if it was not in so many seconds."""
        with self._arrived:
            self._arrived.wait_for(lambda: study in self.paged, seconds)
            return self.paged.get(study)


def must_page(pager: Pager, study: str) -> float:
    """Moment at which a study was paged that the model is sure to see."""
    paged = pager.wait(study, TIMEOUT_S)
    if paged is None:
        raise RuntimeError("a critical study was never paged")
    return paged


def xray(seed: int, *findings: str) -> tuple[str, bytes]:
    """A generated chest X-ray with UIDs of its own."""
    identity = SyntheticIdentity("Bench^Mark", f"B{seed}", f"B{seed}", "19600101", "F", datetime.now(UTC))
    study_uid, series_uid, sop_uid = (str(generate_uid(prefix=None)) for _ in range(3))
    phantom = generate(seed, findings=frozenset(findings))
    return study_uid, to_dicom(phantom, identity, study_uid=study_uid, series_uid=series_uid, sop_uid=sop_uid)


def last_byte(system: System, *files: bytes) -> float:
    """Send one study; moment at which its last byte left (perf_counter seconds)."""
    sent = [0.0]

    def noting() -> Iterator[bytes]:
        yield from files
        sent[0] = time.perf_counter()

    with httpx.Client(trust_env=False) as client:
        answer = stow_client.store(client, system.stow, system.tokens["north"], noting())
    if len(answer.accepted) != len(files):
        raise RuntimeError(f"the gateway answered {answer.status}")
    return sent[0]


def percentile(values: Sequence[float], share: float) -> float:
    """Value below which that share of the values lies."""
    return sorted(values)[min(int(share * len(values)), len(values) - 1)]


def model_alone(images: Sequence[bytes]) -> float:
    """Median seconds of decode, preprocess and one inference on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        cxr_demo.SPEC.weights(), options, providers=["CPUExecutionProvider"]
    )
    times = []
    for data in images:
        began = time.perf_counter()
        session.run(None, {cxr_demo.SPEC.inputs[0].name: cxr_demo.preprocess(data).tensor[None]})
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def measure(system: System, pager: Pager) -> Latency:
    """Measure one at a time, then a burst, then the model alone."""
    images = [xray(920_000 + number, "pneumothorax") for number in range(STUDIES + AT_ONCE)]
    alone = []
    for study_uid, data in images[:STUDIES]:
        left = last_byte(system, data)
        alone.append(must_page(pager, system.study_key("north", study_uid)) - left)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        moments = list(pool.map(lambda image: last_byte(system, image[1]), images[STUDIES:]))
    burst = [
        must_page(pager, system.study_key("north", study_uid)) - left
        for (study_uid, _), left in zip(images[STUDIES:], moments, strict=True)
    ]
    return Latency(
        statistics.median(alone),
        percentile(alone, 0.95),
        statistics.median(burst),
        percentile(burst, 0.95),
        model_alone([data for _, data in images[:STUDIES]]),
    )


def head_ct(seed: int) -> tuple[str, tuple[bytes, ...]]:
    """A generated head CT with a bleeding in the brain, and its Study Instance UID."""
    identity = SyntheticIdentity("Bench^Mark", f"H{seed}", f"H{seed}", "19600101", "F", datetime.now(UTC))
    files = generated_head_ct(seed, identity, findings=frozenset({BLEEDING}), slices=SLICES, side=SIDE)
    return str(dcmread(io.BytesIO(files[0]), stop_before_pixels=True).StudyInstanceUID), files


def measure_series(system: System, pager: Pager) -> SeriesLatency:
    """Send head CT studies one after the other, and follow their rows and pages; what the quiet window takes is taken off."""
    completes, results, alerts, outcomes = [], [], [], []
    for number in range(SERIES):
        study_uid, files = head_ct(930_000 + number)
        left = last_byte(system, *files)
        study = system.study_key("north", study_uid)
        complete = wait_for(system, study, lambda row: row.status == "complete")
        result = wait_for(system, study, lambda row: bool(row.result_status))
        row = system.connections.tables.get(StudyRow, site="north", study=study)
        outcomes.append((row.result_status if row else None) or "")
        completes.append(complete - left - QUIET_S)
        results.append(result - left - QUIET_S)
        if (paged := pager.wait(study, PAGE_S)) is not None:
            alerts.append(paged - left - QUIET_S)
    return SeriesLatency(
        statistics.median(completes),
        percentile(completes, 0.95),
        statistics.median(results),
        percentile(results, 0.95),
        tuple(sorted(set(outcomes))),
        len(alerts),
        statistics.median(alerts),
        percentile(alerts, 0.95),
    )


def wait_for(system: System, study: str, done: Callable[[StudyRow], bool]) -> float:
    """Moment at which a study's row is so (perf_counter seconds)."""
    deadline = time.perf_counter() + SERIES_TIMEOUT_S
    while time.perf_counter() < deadline:
        row = system.connections.tables.get(StudyRow, site="north", study=study)
        if row is not None and done(row):
            return time.perf_counter()
        time.sleep(LOOK_S)
    raise RuntimeError("a series never came to its end")
