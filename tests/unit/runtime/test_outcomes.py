from __future__ import annotations

import errno

import pytest

from runtime.errors import DeadLetterError, OutageError, RetryError, StopError
from runtime.outcomes import Policy, Tries, Verdict, judge
from schemas.codec import UndecodableError


@pytest.mark.parametrize(
    ("error", "verdicts"),
    [
        (OutageError(), [Verdict.RETRY] * 30),
        (RetryError(), [Verdict.RETRY] * 9 + [Verdict.PROBE]),
        (DeadLetterError("x"), [Verdict.DEAD_LETTER]),
        (UndecodableError("x"), [Verdict.DEAD_LETTER]),
        (ValueError(), [Verdict.RETRY] * 2 + [Verdict.DEAD_LETTER]),
        (ConnectionResetError(errno.ECONNRESET, ""), [Verdict.RETRY] * 2 + [Verdict.DEAD_LETTER]),
        (OSError(errno.ENOSPC, ""), [Verdict.STOP]),
        (OSError(errno.EMFILE, ""), [Verdict.STOP]),
        (StopError(), [Verdict.STOP]),
        (MemoryError(), [Verdict.STOP]),
        (KeyboardInterrupt(), [Verdict.STOP]),
    ],
)
def test_the_class_of_an_error_decides(error: BaseException, verdicts: list[Verdict]) -> None:
    tries = Tries()
    assert [judge(error, tries, Policy()) for _ in verdicts] == verdicts
    assert tries.made == len(verdicts)


def test_pauses_double_up_to_a_bound_and_are_drawn_apart() -> None:
    policy = Policy(first_pause_s=0.1, longest_pause_s=5.0)
    assert [policy.pause_s(n, 1.0) for n in (1, 2, 3, 1000)] == pytest.approx([0.1, 0.2, 0.4, 5.0])
    assert policy.pause_s(1, 0.0) == pytest.approx(0.05)
