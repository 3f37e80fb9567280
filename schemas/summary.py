"""What `radstream demo --json` writes: its keys are a contract."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoSummary:
    """Outcome of a demonstration run, read from the tables and the webhook's receiver."""

    studies: int
    """Studies that ended with a result, `not-analysed` included."""
    public_studies: int
    """Of these, studies made of public sample files."""
    synthetic_studies: int
    """Of these, studies with generated images."""
    instances: int
    """Instances that were acknowledged and de-identified."""
    findings: int
    """Findings at or above their threshold."""
    not_analysed: dict[str, int]
    """Studies without inference, by reason."""
    alerts_delivered: int
    """Distinct pages the webhook's receiver took, by Idempotency-Key."""
    quarantined: dict[str, int]
    """Refused files, by reason class."""
    hops: dict[str, float]
    """Median seconds from receipt to each hop of the analysed studies."""
    seconds: float
    """Seconds from the command's start to its summary."""
    portal_url: str
    """Where the portal answers; empty after `--exit`."""
    inference_backend: str
    """`triton` or `onnxruntime-in-process`."""


def shortfalls(summary: DemoSummary, *, public: int, synthetic: int, quarantined: int) -> list[str]:
    """Say where a run fell short of what was sent; empty when it did not."""
    checks = {
        "public studies without a result": summary.public_studies < public,
        "synthetic studies without a result": summary.synthetic_studies < synthetic,
        "no finding above its threshold": summary.findings == 0,
        "no alert delivered": summary.alerts_delivered == 0,
        "a malformed file was not quarantined": sum(summary.quarantined.values()) < quarantined,
        "no inference backend": not summary.inference_backend,
    }
    return [text for text, short in checks.items() if short]
