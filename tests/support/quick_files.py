"""A place for small files that no test is about: writes there need not wait for a disk that other tests keep busy."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")  # the folders made in it have random names
"""Linux's file system in memory."""

ROOM = 2 << 30
"""Bytes that must be free; a container's is often 64 MB, which one test can fill."""


def quick_place() -> str:
    """The file system in memory where there is room, or else the system's place for temporary files."""
    try:
        free = shutil.disk_usage(MEMORY).free
    except OSError:
        free = 0
    return str(MEMORY) if free >= ROOM else tempfile.gettempdir()
