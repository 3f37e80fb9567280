"""The few attributes on which decisions rest are read, and no others."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from cli.demo_studies import public_file
from schemas.identifiers import PseudonymKey, Pseudonyms
from stream_processors.deidentification import DEFAULT, Profile, facts, plan

NAMES = Pseudonyms(PseudonymKey("epoch-1", hashlib.sha256(b"a test master").digest()))


def test_every_fact_that_is_asked_for_is_read_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: set[int] = set()

    class Asked(dict[int, bytes]):
        def get(self, key: int, default: Any = None) -> Any:
            asked.add(key)
            return super().get(key, default)

    real = facts.Facts
    monkeypatch.setattr(facts, "Facts", lambda _values, *rest: real(Asked(), *rest))
    raw = public_file("CT_small.dcm")
    for options in ((), ("113101",)):
        plan(raw, len(raw), NAMES, Profile(DEFAULT.options | set(options)))
    assert asked == facts.TAGS
