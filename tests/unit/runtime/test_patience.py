from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from runtime import patience
from runtime.errors import OutageError, RetryError, StopError
from runtime.patience import until_answered


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses that were made, on a clock that only they move."""
    made: list[float] = []
    clock = SimpleNamespace(sleep=made.append, monotonic=lambda: sum(made))
    monkeypatch.setattr(patience, "time", clock)
    return made


def answers_after(failures: int, error: type[Exception] = OutageError) -> Callable[[], str]:
    """A question that so many times is not answered."""
    left = [failures]

    def ask() -> str:
        if left[0]:
            left[0] -= 1
            raise error("registry: ConnectError")
        return "answer"

    return ask


class Told:
    """A log that remembers."""

    def __init__(self) -> None:
        self.attempts: list[int] = []

    def warning(self, _event: str, *, attempts: int, exc_info: Any) -> None:
        assert isinstance(exc_info, RetryError)
        self.attempts.append(attempts)


def test_what_answers_is_asked_once(pauses):
    assert (until_answered(answers_after(0)), pauses) == ("answer", [])


def test_pauses_double_up_to_the_longest_and_each_failure_is_told(pauses):
    told = Told()
    assert until_answered(answers_after(6, RetryError), log=told) == "answer"
    assert pauses == [0.25, 0.5, 1.0, 2.0, 4.0, 4.0]
    assert told.attempts == [1, 2, 3, 4, 5, 6]


def test_an_outage_of_hours_is_waited_for(pauses):
    assert until_answered(answers_after(5000)) == "answer"
    assert pauses[-1] == 4.0


def test_patience_ends_with_the_last_error(pauses):
    with pytest.raises(OutageError, match="registry"):
        until_answered(answers_after(100), patience_s=10.0)
    assert 6.0 < sum(pauses) <= 10.0


def test_other_errors_are_not_waited_for(pauses):
    with pytest.raises(StopError):
        until_answered(answers_after(1, StopError))
    assert pauses == []
