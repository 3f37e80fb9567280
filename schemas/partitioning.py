"""Which partition a key belongs to: as Kafka's Java client decides it, so that keys co-locate in both profiles."""

from __future__ import annotations

_SEED = 0x9747B28C
"""Seed of Kafka's murmur2; any other would move every key."""
_M = 0x5BD1E995
"""Multiplier of murmur2 (32 bits)."""
_R = 24
"""Shift of murmur2, in bits."""
_32_BITS = 0xFFFFFFFF
"""Python's integers have no width: this cuts them to Java's."""


def murmur2(data: bytes) -> int:
    """Hash bytes as `org.apache.kafka.common.utils.Utils.murmur2` does; unsigned 32 bits."""
    length = len(data)
    h = (_SEED ^ length) & _32_BITS
    whole = length & ~3
    for start in range(0, whole, 4):
        k = int.from_bytes(data[start : start + 4], "little") * _M & _32_BITS
        k = (k ^ k >> _R) * _M & _32_BITS
        h = h * _M & _32_BITS ^ k
    if whole < length:
        h = (h ^ int.from_bytes(data[whole:], "little")) * _M & _32_BITS
    h = (h ^ h >> 13) * _M & _32_BITS
    return h ^ h >> 15


def partition_of(key: bytes, partitions: int) -> int:
    """Partition of a key. The port knows no null key; an empty key is hashed like any other, as in the Java client."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions
