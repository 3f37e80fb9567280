"""Numbers about a process: names with kind, unit and meaning in one table; labels are component and site, never a study."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

Name = Literal[
    "radstream_inputs_total",
    "radstream_outputs_total",
    "radstream_retries_total",
    "radstream_dead_letters_total",
    "radstream_deadlines_total",
    "radstream_lag_events",
    "radstream_lag_seconds",
    "radstream_in_flight_bytes",
    "radstream_rebalances_total",
    "radstream_batch_events",
    "radstream_step_seconds",
    "radstream_publish_seconds",
    "radstream_commit_seconds",
    "radstream_instances_received_total",
    "radstream_bytes_received_total",
    "radstream_quarantined_total",
    "radstream_request_seconds",
    "radstream_requests_refused_total",
    "radstream_inference_seconds",
    "radstream_image_decode_seconds",
    "radstream_image_tensor_seconds",
    "radstream_image_queue_seconds",
    "radstream_image_infer_seconds",
    "radstream_image_after_seconds",
    "radstream_infer_batch_images",
    "radstream_drifted_statistics",
]
"""Every metric there is."""

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Bucket bounds in seconds: from one SQLite commit to the model's deadline."""
ITEMS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
"""Bucket bounds in items: powers of two up to the largest batch."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a metric says."""

    kind: Literal["counter", "gauge", "histogram"]
    unit: str
    text: str
    by_model: bool = False
    """Whether a third label names the model."""


METRICS: dict[Name, Meaning] = {
    "radstream_inputs_total": Meaning("counter", "events", "Inputs resolved, dead-lettered ones included"),
    "radstream_outputs_total": Meaning("counter", "events", "Outputs confirmed by the log"),
    "radstream_retries_total": Meaning("counter", "attempts", "Attempts that failed and were made again"),
    "radstream_dead_letters_total": Meaning("counter", "events", "Inputs given up"),
    "radstream_deadlines_total": Meaning(
        "counter", "deadlines", "Deadlines that became due and were resolved"
    ),
    "radstream_lag_events": Meaning("gauge", "events", "Records in the log behind the committed offsets"),
    "radstream_lag_seconds": Meaning("gauge", "seconds", "Age of the oldest record of the last batch"),
    "radstream_in_flight_bytes": Meaning("gauge", "bytes", "Values read from the log and not resolved yet"),
    "radstream_rebalances_total": Meaning(
        "counter", "assignments", "Times the group gave this process its partitions"
    ),
    "radstream_batch_events": Meaning("histogram", "events", "Inputs resolved together"),
    "radstream_step_seconds": Meaning("histogram", "seconds", "One run of the step over one input"),
    "radstream_publish_seconds": Meaning("histogram", "seconds", "Confirming the outputs of one batch"),
    "radstream_commit_seconds": Meaning("histogram", "seconds", "Acknowledging one batch"),
    "radstream_instances_received_total": Meaning(
        "counter", "instances", "Instances acknowledged to a sender"
    ),
    "radstream_bytes_received_total": Meaning(
        "counter", "bytes", "Bytes of instances acknowledged to a sender"
    ),
    "radstream_quarantined_total": Meaning("counter", "objects", "Objects refused and kept, encrypted"),
    "radstream_request_seconds": Meaning("histogram", "seconds", "One HTTP request"),
    "radstream_requests_refused_total": Meaning(
        "counter", "requests", "HTTP requests denied or not understood"
    ),
    "radstream_inference_seconds": Meaning(
        "histogram", "seconds", "One image through a model, waiting for its batch included"
    ),
    "radstream_image_decode_seconds": Meaning(
        "histogram", "seconds", "Header and stored values of one image", by_model=True
    ),
    "radstream_image_tensor_seconds": Meaning(
        "histogram",
        "seconds",
        "Stored values of one image to a model's input, input contract included",
        by_model=True,
    ),
    "radstream_image_queue_seconds": Meaning(
        "histogram", "seconds", "One image waiting for company and for a free request", by_model=True
    ),
    "radstream_image_infer_seconds": Meaning(
        "histogram", "seconds", "One request to a model, from sending to its answer", by_model=True
    ),
    "radstream_image_after_seconds": Meaning(
        "histogram",
        "seconds",
        "A model's output on one image to findings, boxes and the stored map",
        by_model=True,
    ),
    "radstream_infer_batch_images": Meaning(
        "histogram", "images", "Images of one request to a model", by_model=True
    ),
    "radstream_drifted_statistics": Meaning(
        "gauge",
        "statistics",
        "Of level, spread and noise of a model's images, how many have drifted",
        by_model=True,
    ),
}
"""Kind, unit and meaning by name."""


class Metrics:
    """The metrics of one process.

    Parameters
    ----------
    component
        Label of every number; the others are the site, and for what is said by model the model's name.
    """

    def __init__(self, component: str) -> None:
        self._component = component
        self._registry = CollectorRegistry()
        self._counters: dict[Name, Counter] = {}
        self._gauges: dict[Name, Gauge] = {}
        self._histograms: dict[Name, Histogram] = {}
        for name in get_args(Name):
            self._declare(name, METRICS[name])

    def count(self, name: Name, amount: float = 1, *, site: str = "") -> None:
        """Add to a counter."""
        self._counters[name].labels(self._component, site).inc(amount)

    def set(self, name: Name, value: float, *, site: str = "", model: str = "") -> None:
        """Set a gauge."""
        self._gauges[name].labels(*self._labels(name, site, model)).set(value)

    def observe(self, name: Name, value: float, *, site: str = "", model: str = "") -> None:
        """Add one value to a histogram."""
        self._histograms[name].labels(*self._labels(name, site, model)).observe(value)

    def _labels(self, name: Name, site: str, model: str) -> tuple[str, ...]:
        known = (self._component, site)
        return (*known, model) if METRICS[name].by_model else known

    def exposition(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self._registry)

    def _declare(self, name: Name, meaning: Meaning) -> None:
        labels = ("component", "site", "model") if meaning.by_model else ("component", "site")
        text = f"{meaning.text} ({meaning.unit})."
        if meaning.kind == "counter":
            self._counters[name] = Counter(name, text, labels, registry=self._registry)
        elif meaning.kind == "gauge":
            self._gauges[name] = Gauge(name, text, labels, registry=self._registry)
        else:
            bounds = SECONDS if meaning.unit == "seconds" else ITEMS
            self._histograms[name] = Histogram(name, text, labels, registry=self._registry, buckets=bounds)
