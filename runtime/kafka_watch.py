"""Finds what a member of a group owns and does not read.

librdkafka can stop reading for good and say nothing, its member alive in the group all the while: it was told once that the
cluster has no brokers and forgot them all (#5301), or it does not take up a partition after the coordinator has moved (#5586).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from runtime.ports import Partition

LOOKS = 3
"""Looks in a row that must find records waiting at one place: a client that was cut off needs 10 s to connect, and a machine that
stood still makes time pass between two."""


class Bounds(NamedTuple):
    """First offset of a partition that is still kept, and the one after its last."""

    first: int
    end: int


class Standing(NamedTuple):
    """Offset at which a partition is read next though records wait there, and how many looks in a row found it so."""

    offset: int
    looks: int


def standing(
    before: Mapping[Partition, Standing],
    positions: Mapping[Partition, int],
    bounds: Mapping[Partition, Bounds],
) -> dict[Partition, Standing]:
    """Return partitions with records that wait; what retention has removed waits for nobody."""
    found: dict[Partition, Standing] = {}
    for partition, offset in positions.items():
        if partition not in bounds or max(offset, bounds[partition].first) >= bounds[partition].end:
            continue
        last = before.get(partition)
        found[partition] = Standing(offset, last.looks + 1 if last and last.offset == offset else 1)
    return found


class Watch:
    """Looks at a member's partitions while its polls bring nothing.

    Parameters
    ----------
    bounds
        Gives what partitions hold, asked by a client that is not the member's.
    committed
        Gives where the group goes on in partitions that the member has read nothing of.
    """

    def __init__(
        self,
        bounds: Callable[[Collection[Partition]], Mapping[Partition, Bounds]],
        committed: Callable[[Collection[Partition]], Mapping[Partition, int]],
    ) -> None:
        self._bounds = bounds
        self._committed = committed
        self._starts: dict[Partition, int] = {}
        self._standing: dict[Partition, Standing] = {}

    def look(self, positions: Mapping[Partition, int | None]) -> list[Partition]:
        """Return partitions that are not read; `positions` says what is read next in each that is owned, None before its first.

        Raises
        ------
        OutageError
            Kafka does not answer; what earlier looks found is forgotten.
        """
        before, self._standing = self._standing, {}
        unread = [partition for partition, offset in positions.items() if offset is None]
        self._starts = {
            partition: self._starts[partition] for partition in unread if partition in self._starts
        }
        if unasked := [partition for partition in unread if partition not in self._starts]:
            self._starts |= self._committed(unasked)
        offsets = {
            partition: self._starts[partition] if offset is None else offset
            for partition, offset in positions.items()
        }
        self._standing = standing(before, offsets, self._bounds(list(offsets)))
        return sorted(partition for partition, found in self._standing.items() if found.looks >= LOOKS)
