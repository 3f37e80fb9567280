from __future__ import annotations

import pytest

from producers.chunk import chunk_id, strictest
from schemas.rows import ReceivedInstanceRow


@pytest.mark.parametrize(
    ("priorities", "expected"),
    [(["routine", "stat"], "stat"), (["routine", "unknown"], "unknown"), (["routine"], "routine")],
)
def test_a_chunk_is_as_urgent_as_its_most_urgent_member(priorities, expected):
    assert strictest(priorities) == expected


def test_a_chunks_id_depends_on_its_members_and_not_on_their_order():
    one, two = (
        ReceivedInstanceRow(site="s", study="t", instance=name, raw_digest="d") for name in ("a", "b")
    )
    assert chunk_id("s", "t", [one, two]) == chunk_id("s", "t", [two, one])
    assert len({chunk_id("s", "t", members) for members in ([one], [two], [one, two])}) == 3
    assert chunk_id("s", "t", [one]) != chunk_id("z", "t", [one])
