"""What de-identification remembers from file to file."""

from __future__ import annotations

from stream_processors.deidentification import kinds, replacing, walker


def forget() -> None:
    """Empty every memory, so that the next file is read as a worker's first."""
    for memory in (kinds.kinds, replacing.replacing_for, replacing.nobody):
        memory.cache_clear()
    walker._harmless.clear()
