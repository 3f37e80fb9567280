"""`make bench`: run every benchmark and write `docs/benchmarks.md`."""

from __future__ import annotations

import asyncio
import os
import platform
import sys
from pathlib import Path

from benchmarks import alert_latency, burned_in_text, deidentification, pixels, stow, triton
from benchmarks.alert_latency import Latency, Pager
from benchmarks.stow import Rate
from benchmarks.system import running

PAGE = Path("docs/benchmarks.md")


def page(rates: list[Rate], latency: Latency, backend: str, *sections: str) -> str:
    """Write the figures down, ratios first."""
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, inference by {backend}"
    ingest = "\n".join(
        f"| {r.connections} | {r.stow:.0f} | {r.raw_copy:.0f} | {r.ratio:.2f} |" for r in rates
    )
    others = "\n".join(sections)
    alone, burst, model = latency.alone_p50, latency.burst_p50, latency.model_p50
    return f"""# Benchmarks

The same on Kafka, Cassandra and S3, and one hop of Kafka against its limits: [benchmarks-cluster.md](benchmarks-cluster.md).

Made by `make bench`, which runs each measurement beside its limit in one run and overwrites this page. Read the ratios: the
absolute figures belong to the machine they were taken on ({machine}).

## STOW-RS against a raw copy into the same store

{stow.STUDIES} CT studies of {stow.SLICES} slices (0.5 MB each), one request per study, with the whole system running and working
on what came in. The limit writes the same bytes with `Objects.put` on the same disk: no HTTP, no encryption, no header, no
vault, no log.
Median of {stow.ROUNDS} alternating rounds.

| connections | STOW MB/s | raw copy MB/s | ratio |
|---|---|---|---|
{ingest}

## Last byte received to alert delivered

Generated chest X-rays with a pneumothorax, from the moment the last byte left the sender to the moment the webhook's receiver
had the page. An X-ray waits for no quiet window. The limit is decode, preprocess and inference of the same image in one process
on one thread.

| | p50 s | p95 s | times the model alone (p50) |
|---|---|---|---|
| one study at a time ({alert_latency.STUDIES}) | {alone:.3f} | {latency.alone_p95:.3f} | {alone / model:.1f} |
| {alert_latency.AT_ONCE} studies at the same moment | {burst:.3f} | {latency.burst_p95:.3f} | {burst / model:.1f} |
| the model alone | {model:.3f} | | 1 |

{others}"""


def main() -> int:
    """Measure and write the page."""
    pager = Pager()
    with running(pager.address) as system:
        latency = alert_latency.measure(system, pager)
        rates = stow.measure(system)
        backend = system.backend
    cleaning = deidentification.section(deidentification.measure())
    text_found = burned_in_text.section(
        burned_in_text.measure(burned_in_text.PICTURES), burned_in_text.clean(burned_in_text.PICTURES // 3)
    )
    reading = pixels.section(pixels.measure(), asyncio.run(pixels.all_shifts()))
    serving = triton.section(triton.measure())
    text = page(rates, latency, backend, cleaning, text_found, reading, serving)
    PAGE.write_text(text, "utf-8")
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
