"""`python -m benchmarks.cluster`: measure on Kafka, Cassandra, S3 and Triton, and write `docs/benchmarks-cluster.md`."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from pathlib import Path

from benchmarks import alert_latency, hop, stow
from benchmarks.alert_latency import Latency, Pager, SeriesLatency
from benchmarks.stow import Rate
from benchmarks.system import QUIET_S, running

PAGE = Path("docs/benchmarks-cluster.md")


def ingest(rates: list[Rate]) -> str:
    """STOW beside the raw copy."""
    rows = "\n".join(
        f"| {each.connections} | {each.ratio:.2f} | {each.stow:.0f} | {each.raw_copy:.0f} |" for each in rates
    )
    return f"""## STOW-RS against a raw copy into the same S3

{stow.STUDIES} CT studies of {stow.SLICES} slices (0.5 MB each), one request per study, with the whole
system running and working on what came in.
The limit puts the same bytes into the same S3 service with the same client: no DICOM, no encryption, no vault, no log.
Median of {stow.ROUNDS} alternating rounds.

| connections | ratio | STOW MB/s | raw copy MB/s |
|---|---|---|---|
{rows}
"""


def latency(xray: Latency, series: SeriesLatency) -> str:
    """From the last byte on."""
    model = xray.model_p50
    alone, burst = f"{xray.alone_p50 / model:.1f}", f"{xray.burst_p50 / model:.1f}"
    return f"""## From the last byte

Generated chest X-rays with a pneumothorax, to the moment at which the webhook's receiver had the page. An X-ray
waits for no quiet window. The limit is decode, preprocess and inference of the same image in one process on one thread.

| chest X-ray | p50 s | p95 s | times the model alone (p50) |
|---|---|---|---|
| one study at a time ({alert_latency.STUDIES}) | {xray.alone_p50:.3f} | {xray.alone_p95:.3f} | {alone} |
| {alert_latency.AT_ONCE} studies at the same moment | {xray.burst_p50:.3f} | {xray.burst_p95:.3f} | {burst} |
| the model alone | {model:.3f} | | 1 |

{alert_latency.SERIES} generated head CT studies of {alert_latency.SLICES} slices of {alert_latency.SIDE}² with a bleeding,
one after the other. A series is read when the study is complete, which the quiet window decides ({QUIET_S:g} s
here): a setting, so it is taken off. Results: {", ".join(series.outcomes)}; {series.alerts} of {alert_latency.SERIES}
paged, as the model saw them.

| CT, {alert_latency.SLICES} slices | p50 s | p95 s |
|---|---|---|
| complete | {series.complete_p50:.3f} | {series.complete_p95:.3f} |
| result in the worklist | {series.result_p50:.3f} | {series.result_p95:.3f} |
| page | {series.alert_p50:.3f} | {series.alert_p95:.3f} |
"""


def main() -> int:
    """Measure and write the page."""
    load = os.getloadavg()[1]
    with tempfile.TemporaryDirectory() as folder:
        hops = hop.measure(Path(folder))
    sys.stdout.write(hop.section(hops))
    sys.stdout.flush()
    pager = Pager()
    with running(pager.address, "cluster") as system:
        xray = alert_latency.measure(system, pager)
        series = alert_latency.measure_series(system, pager)
        rates = stow.measure(system)
        backend = system.backend
    load, machine = (
        (load + os.getloadavg()[1]) / 2,
        f"{os.cpu_count()} cores, Python {platform.python_version()}",
    )
    text = f"""# Benchmarks on Kafka, Cassandra and S3

Made by `python -m benchmarks.cluster`, which runs each measurement beside its limit in one run and overwrites
this page. Everything, servers included, ran on one machine ({machine}, inference by {backend}; load
average {load:.0f} in the five minutes round the
run). Read the ratios; where the load is above the number of cores, absolute figures say more about the neighbours than about us.

{hop.section(hops)}
{ingest(rates)}
{latency(xray, series)}"""
    PAGE.write_text(text, "utf-8")
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
