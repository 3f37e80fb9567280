from __future__ import annotations

import pytest

from inference.aggregation import series_logit


@pytest.mark.parametrize(
    ("logits", "joint"),
    [([2.0], 2.0), ([-3.0, 2.0], -0.5), ([-9.0, 4.0, 2.0, -9.0], 3.0), ([9.0, -9.0, -9.0], 0.0)],
    ids=["one image speaks for itself", "two", "the strongest two", "one slice alone convinces nobody"],
)
def test_a_series_is_as_strong_as_its_strongest_slices(logits, joint):
    assert series_logit(logits) == joint


def test_the_order_of_the_slices_does_not_matter():
    assert series_logit([1.0, 5.0, 3.0]) == series_logit([3.0, 1.0, 5.0])
