from __future__ import annotations

import pytest

from portal_api.services.commands import STATUS_CODES, answer
from schemas.rows import ReviewOutcomeRow


@pytest.mark.parametrize(
    ("outcome", "state", "status"),
    [
        ("done", "done", 200),
        ("conflict", "conflict", 409),
        ("refused", "refused", 422),
        (None, "accepted", 202),
        ("a-word-of-tomorrow", "accepted", 202),
    ],
)
def test_an_outcome_is_told_with_its_status(outcome, state, status):
    row = ReviewOutcomeRow(site="north", command_id="c", outcome=outcome, detail="why", version=3)
    told = answer("c", row, None)
    assert (told.state, STATUS_CODES[told.state]) == (state, status)


def test_no_outcome_yet_is_accepted_and_names_the_command():
    told = answer("c", None, None)
    assert (told.state, told.command_id, told.version) == ("accepted", "c", None)
