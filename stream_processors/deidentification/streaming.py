"""De-identify what is read in ranges: the header decides, the pixels pass through, memory stays bounded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from stream_processors.deidentification.output import FRAGMENTS, Plan
from stream_processors.deidentification.profile import DEFAULT, Profile
from stream_processors.deidentification.second_reader import Follower
from stream_processors.deidentification.verify import Expected, verify

HEAD_BYTES: Final = 256 * 1024
"""bytes read first: nearly every header ends within them."""
WINDOW_BYTES: Final = 1024 * 1024
"""bytes read at once behind the head."""


class Windowed:
    """Small reads over a source that is costly to ask: what was read last is kept.

    Parameters
    ----------
    fetch
        Gives the bytes from a position on, so many; fewer only where the source ends.
    head
        The first bytes, which are known already.
    """

    def __init__(self, fetch: Callable[[int, int], bytes], head: bytes) -> None:
        self._fetch, self._at, self._bytes = fetch, 0, head

    def read(self, at: int, length: int) -> memoryview:
        """Give the bytes from a position on, so many; fewer only where the source ends."""
        if at < self._at or at + length > self._at + len(self._bytes):
            self._at, self._bytes = at, self._fetch(at, max(length, WINDOW_BYTES))
        return memoryview(self._bytes)[at - self._at : at - self._at + length]


def verify_header(made: Plan, profile: Profile = DEFAULT) -> None:
    """Hold the header of a plan against its profile and its source, before anything is written.

    Raises
    ------
    RefusedError
        verification-failed.
    """
    if made.report.own_output:  # authentic, and its pixels are copied by their length or their fragments
        return
    ours = [piece for piece in made.pieces if isinstance(piece, bytes)]
    if len(ours) < len(made.pieces):
        data, size = b"".join(ours)[: made.header_size], made.size
    else:  # pixels that were cleaned are at hand, and their fragments are followed here
        data, size = b"".join(ours), None
    verify(data, profile, Expected(made.identity, made.days, bool(made.pixels_at_risk), made.codes), size)


def followed(made: Plan, fetch: Callable[[int, int], bytes], head: bytes) -> Iterator[bytes | memoryview]:
    """Give the output chunk by chunk, and read fragments again on their way out.

    Raises
    ------
    RefusedError
        truncated, malformed, too-large or verification-failed: what was given until then is worth nothing.
    """
    fragments = any(not isinstance(piece, bytes) and piece.how == FRAGMENTS for piece in made.pieces)
    follower, left = Follower(), made.header_size
    for chunk in made.chunks(Windowed(fetch, head).read):
        yield chunk
        if fragments:
            skipped = min(left, len(chunk))
            follower.feed(memoryview(chunk)[skipped:])
            left -= skipped
    if fragments:
        follower.end()
