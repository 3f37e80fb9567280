"""How a section says which of its limits were missed."""

from __future__ import annotations

from collections.abc import Sequence


def verdict(missed: Sequence[str]) -> str:
    """Name the figures that stay under their limit; say so where there is none."""
    return f"Missed: {'; '.join(missed)}." if missed else "No limit is missed."
