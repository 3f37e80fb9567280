"""Errors carry the decision: retry, dead-letter, or stop. Their messages never hold a value of a record or a file."""

from __future__ import annotations


class RetryError(Exception):
    """Something outside is not answering now; the same call may succeed later."""


class OutageError(RetryError):
    """An engine as a whole does not answer, whatever it is asked: no input's fault, so no input is given up for it."""


class DeadLetterError(Exception):
    """This one input can never succeed; `reason` is its class."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class StopError(Exception):
    """This process must not go on: its view of the world is wrong (lost partition, missing topic, bad settings)."""
