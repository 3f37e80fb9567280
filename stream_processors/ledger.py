"""Which records an engine handed out and which of them are resolved: what may be committed follows from it. Pure.

The engine's own notion of "acknowledged" is not asked: it also acknowledges what it drops, what raised, and what it could not
decode. Here a record counts as done when the binder has resolved it, and by nothing else.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping
from itertools import islice

from runtime.ports import Partition


class Ledger:
    """Open records by partition, in offset order. Not thread-safe: all calls come from one event loop."""

    def __init__(self) -> None:
        self._open: dict[Partition, OrderedDict[int, int]] = {}
        self._end: dict[Partition, int] = {}
        self._committed: dict[Partition, int] = {}
        self._bytes: Counter[str] = Counter()

    def hand_out(self, where: Partition, offset: int, size: int) -> None:
        """Note a record that the engine read.

        Parameters
        ----------
        where
            Its partition.
        offset
            Its offset; one that is not greater than the last means that the engine went back.
        size
            Bytes of its value.
        """
        opened = self._open.setdefault(where, OrderedDict())
        if offset in opened:
            return
        opened[offset] = size
        self._bytes[where[0]] += size
        if offset < self._end.get(where, 0):
            self._open[where] = OrderedDict(sorted(opened.items()))
        self._end[where] = max(self._end.get(where, 0), offset + 1)

    def is_open(self, where: Partition, offset: int) -> bool:
        """Whether a record was handed out and is not resolved; false for one of an earlier assignment."""
        return offset in self._open.get(where, ())

    def are_next(self, where: Partition, offsets: Iterable[int]) -> bool:
        """Whether these are the smallest open offsets of a partition: if not, the engine has dropped or reordered one."""
        wanted = list(offsets)
        return list(islice(self._open.get(where, ()), len(wanted))) == wanted

    def resolve(self, where: Partition, offset: int) -> None:
        """Note that a record is done with. One of an earlier assignment is no longer ours to tell of."""
        size = self._open.get(where, OrderedDict()).pop(offset, None)
        if size is not None:
            self._bytes[where[0]] -= size

    def committable(self, where: Partition) -> int | None:
        """Offset at which a new owner should start: the smallest open one, or the one after the last handed out."""
        opened = self._open.get(where)
        return next(iter(opened)) if opened else self._end.get(where)

    def committed(self, offsets: Mapping[Partition, int]) -> None:
        """Note what the log confirmed."""
        self._committed.update(offsets)

    def to_commit(self, where: Partition) -> int | None:
        """Offset worth committing now, None when the log has it already."""
        offset = self.committable(where)
        if offset is None or offset <= self._committed.get(where, -1):
            return None
        return offset

    def partitions(self) -> list[Partition]:
        """Partitions of which something was handed out."""
        return list(self._end)

    def bytes_open(self, topic: str | None = None) -> int:
        """Bytes handed out and not resolved, of one topic or of all."""
        return self._bytes.total() if topic is None else self._bytes[topic]

    def clear(self) -> None:
        """Forget everything: the partitions were taken away, and whoever has them starts at the committed offsets."""
        for each in (self._open, self._end, self._committed, self._bytes):
            each.clear()
