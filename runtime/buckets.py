"""The buckets and what lies in each. Names are logical: a deployment may map them to others."""

from __future__ import annotations

RAW = "raw"
"""What the gateways took, encrypted."""
QUARANTINE = "quarantine"
"""What was refused and records that no consumer could handle, encrypted."""
CLEAN = "clean"
"""De-identified DICOM files."""
RESULTS = "results"
"""Activation maps, overlays and result records."""

ALL = (RAW, QUARANTINE, CLEAN, RESULTS)
"""Every bucket a deployment needs."""
