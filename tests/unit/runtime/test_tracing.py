from __future__ import annotations

import re

import pytest

from runtime.tracing import span_id, trace_id, traceparent


@pytest.mark.parametrize(
    ("correlation", "trace"),
    [
        ("2d3c4b5a-1111-4222-8333-444455556666", "2d3c4b5a111142228333444455556666"),
        ("00000000-0000-0000-0000-000000000000", None),
        ("no uuid", None),
        ("", None),
    ],
)
def test_one_correlation_is_one_valid_trace(correlation: str, trace: str | None) -> None:
    found = trace_id(correlation)
    assert found == (trace or found) == trace_id(correlation)
    assert re.fullmatch(r"[0-9a-f]{32}", found)
    assert found.strip("0")


def test_a_span_is_never_all_zeros() -> None:
    assert span_id(0) == span_id(2**64) == "0000000000000001"
    assert traceparent("2d3c4b5a-1111-4222-8333-444455556666", 255) == (
        "00-2d3c4b5a111142228333444455556666-00000000000000ff-01"
    )
