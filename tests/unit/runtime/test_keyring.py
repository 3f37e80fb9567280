from __future__ import annotations

import pytest

from runtime.errors import StopError
from runtime.keyring import KeyRing, bound

GOOD = bytes(range(32))


@pytest.mark.parametrize(
    ("current", "masters"),
    [
        ("b", {"a": GOOD}),
        ("a", {"a": GOOD[:31]}),
        ("a", {"a": GOOD, "b": b""}),
        ("x" * 33, {"x" * 33: GOOD}),
        ("", {"": GOOD}),
    ],
)
def test_keys_that_cannot_be_used_stop_the_process(current: str, masters: dict[str, bytes]) -> None:
    with pytest.raises(StopError):
        KeyRing(current, masters)


def test_each_purpose_and_salt_has_a_key_of_its_own() -> None:
    ring = KeyRing("a", {"a": GOOD, "b": GOOD[::-1]})
    cases = [("a", b"1", b""), ("a", b"2", b""), ("b", b"1", b""), ("a", b"1", b"salt")]
    made = {ring.derive(*each) for each in cases}
    assert len(made) == 4
    assert {len(key) for key in made} == {32}
    assert repr(GOOD) not in repr(ring)


def test_parts_bound_together_cannot_be_shifted() -> None:
    assert bound("ab", "c") != bound("a", "bc") != bound("abc")
