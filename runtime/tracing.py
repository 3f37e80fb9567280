"""W3C trace context from what events carry anyway; pure, no collector needed.

Everything that one delivery to a gateway caused has one correlation id, so the trace id is derived from it; each publish is a
span of its own (https://www.w3.org/TR/trace-context/ §3.2).
"""

from __future__ import annotations

import hashlib
import uuid

SAMPLED = "01"
"""Trace flags: every event is recorded."""


def trace_id(correlation_id: str) -> str:
    """32 hex digits: the correlation id's own when it is a UUID, else a digest of it; never all zeros, which is invalid."""
    try:
        number = uuid.UUID(correlation_id).hex
    except ValueError:
        number = ""
    if number.strip("0"):
        return number
    return hashlib.sha256(correlation_id.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def span_id(random_bits: int) -> str:
    """16 hex digits out of 64 random bits; never all zeros, which is invalid."""
    return f"{random_bits % 2**64 or 1:016x}"


def traceparent(correlation_id: str, random_bits: int) -> str:
    """Value of the `traceparent` header of one publish."""
    return f"00-{trace_id(correlation_id)}-{span_id(random_bits)}-{SAMPLED}"
