"""One process per member id: two with the same id evict each other from their group for ever, and both look well."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.errors import StopError


@contextmanager
def only_member(folder: Path, member: str) -> Iterator[None]:
    """Hold a member id; it is free again when this process has ended, however it ended.

    Parameters
    ----------
    folder
        Shared by all processes of this machine (`<data>/run`). Between machines ids differ by construction.
    member
        The id.

    Raises
    ------
    StopError
        A process that lives has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / f"{member}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StopError("another process has this member id") from error
        yield
    finally:
        os.close(descriptor)
