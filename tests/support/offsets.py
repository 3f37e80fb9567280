"""Committed offsets of a whole topic: tests look at all its partitions."""

from __future__ import annotations

from runtime.ports import Log


def committed(log: Log, group: str, topic: str) -> dict[int, int]:
    """Per partition, the committed offset of a group."""
    partitions = [(topic, number) for number in log.end_offsets(topic)]
    return {number: offset for (_, number), offset in log.committed(group, partitions).items()}
