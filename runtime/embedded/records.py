"""How a record lies in the log's file."""

from __future__ import annotations

import struct
from typing import Any

from runtime.ports import Headers, Partition, Record

OFFSET_BITS = 40
"""Bits of a record's id that are its offset: 10^12 records per partition, and 2^23 partitions above them."""

SELECT_RECORDS = (
    "SELECT id, key, value, headers, timestamp FROM records WHERE id >= ? AND id < ? ORDER BY id LIMIT ?"
)
"""Rows for `record`: first id, id after the last, at most how many."""

_LENGTHS = struct.Struct(">HI")
"""Before each header: length of its UTF-8 name and of its value, in bytes."""


def first_id(partition: int) -> int:
    """Id of a partition's record at offset 0."""
    return partition << OFFSET_BITS


def record(partition: Partition, row: tuple[Any, ...]) -> Record:
    """Build a record from a row of `SELECT_RECORDS`."""
    identifier, key, value, headers, timestamp = row
    offset = identifier & ((1 << OFFSET_BITS) - 1)
    return Record(*partition, offset, key, value, unpack_headers(headers), timestamp)


def pack_headers(headers: Headers) -> bytes:
    """Headers as bytes, in order, doubles kept."""
    parts = []
    for name, value in headers:
        encoded = name.encode()
        parts += [_LENGTHS.pack(len(encoded), len(value)), encoded, value]
    return b"".join(parts)


def unpack_headers(data: bytes) -> Headers:
    """Read what `pack_headers` wrote."""
    headers = []
    at = 0
    while at < len(data):
        name_length, value_length = _LENGTHS.unpack_from(data, at)
        name_end = at + _LENGTHS.size + name_length
        at = name_end + value_length
        headers.append((data[name_end - name_length : name_end].decode(), data[name_end:at]))
    return tuple(headers)
