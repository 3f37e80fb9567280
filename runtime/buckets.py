"""Names of the object buckets."""

from __future__ import annotations

RAW = "raw"
"""What gateways took in, encrypted; keyed by site and receipt."""
QUARANTINE = "quarantine"
"""What was refused, and records nobody could handle, encrypted."""
CLEAN = "clean"
"""De-identified objects; keyed by site and study."""
RESULTS = "results"
"""Overlays, activations and result records; keyed by site and study."""

ENCRYPTED = (RAW, QUARANTINE)
"""Buckets that only `runtime.sealed` reads and writes."""
ALL = (RAW, QUARANTINE, CLEAN, RESULTS)
"""Every bucket, in the order a study passes them."""
