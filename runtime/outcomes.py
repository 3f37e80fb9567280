"""What an error means for an input: try again, give up, or stop the process. Pure."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from enum import Enum

from runtime.errors import DeadLetterError, OutageError, RetryError, StopError
from schemas.codec import UndecodableError


class Verdict(Enum):
    """What to do with an input whose attempt failed."""

    RETRY = "retry"
    PROBE = "probe"
    """Enough attempts: give up unless what the step works with is down, which is then to blame."""
    DEAD_LETTER = "dead-letter"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Policy:
    """How often and how fast to try.

    Parameters
    ----------
    attempts
        Attempts that failed with RetryError, while everything answered, before an input is given up: with the pauses
        below about half a minute, longer than any restart of an engine's node.
    surprises
        Attempts that failed with an error nobody foresaw before an input is given up: a cause that passes does so sooner.
    first_pause_s, longest_pause_s
        Seconds; the pause doubles with each attempt, and half of it is drawn at random, so that many do not come at once.
    concurrency
        Keys in work at once.
    """

    attempts: int = 10
    surprises: int = 3
    first_pause_s: float = 0.1
    longest_pause_s: float = 5.0
    concurrency: int = 32

    def pause_s(self, attempt: int, chance: float) -> float:
        """Seconds before the next attempt; `chance` is a random number from 0 to 1."""
        full = min(self.first_pause_s * 2.0 ** min(attempt - 1, 30), self.longest_pause_s)
        return float(full * (0.5 + chance / 2))


class RetriesExhaustedError(DeadLetterError):
    """The input failed again and again while everything it needs answered others."""

    def __init__(self) -> None:
        super().__init__("retries-exhausted")


MACHINE_ERRNOS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO}
)
"""Errors of the machine, not of an input: nothing else would succeed either."""


@dataclass(slots=True)
class Tries:
    """Failed attempts of one input: all of them, and those that count towards giving it up."""

    made: int = 0
    retries: int = 0
    surprises: int = 0


def judge(error: BaseException, tries: Tries, policy: Policy) -> Verdict:
    """Decide by the error's class, counting it in `tries`.

    OutageError is retried for ever and never counted. RetryError counts; at the limit a probe decides. DeadLetterError and
    UndecodableError are final at once. What nobody foresaw may be a poison input, so it is tried a few times and then given
    up, by type name only; but StopError, lack of memory, and errors of the machine stop the process and lose nothing.
    """
    tries.made += 1
    if isinstance(error, OutageError):
        return Verdict.RETRY
    if isinstance(error, RetryError):
        tries.retries += 1
        return Verdict.PROBE if tries.retries >= policy.attempts else Verdict.RETRY
    if isinstance(error, (DeadLetterError, UndecodableError)):
        return Verdict.DEAD_LETTER
    if isinstance(error, (StopError, MemoryError)) or not isinstance(error, Exception):
        return Verdict.STOP
    if isinstance(error, OSError) and error.errno in MACHINE_ERRNOS:
        return Verdict.STOP
    tries.surprises += 1
    return Verdict.DEAD_LETTER if tries.surprises >= policy.surprises else Verdict.RETRY
