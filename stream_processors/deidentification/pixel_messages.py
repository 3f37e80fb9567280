"""What goes between a process and its pixel workers, both ways: two lengths (big endian), JSON, and bytes."""

from __future__ import annotations

import json
import struct
from typing import IO, Final

LENGTHS: Final = struct.Struct(">IQ")
"""4 and 8 bytes: of the JSON, and of what follows it."""


def read_message(stream: IO[bytes]) -> tuple[dict[str, object], bytes] | None:
    """Read one message; None when the stream ended."""
    lengths = stream.read(LENGTHS.size)
    if len(lengths) < LENGTHS.size:
        return None
    first, second = LENGTHS.unpack(lengths)
    described, data = stream.read(first), stream.read(second)
    if len(data) < second:
        return None
    return dict(json.loads(described)), data


def write_message(stream: IO[bytes], described: dict[str, object], data: bytes) -> None:
    """Write one message."""
    head = json.dumps(described).encode("ascii")
    stream.write(LENGTHS.pack(len(head), len(data)) + head)
    stream.write(data)
    stream.flush()
