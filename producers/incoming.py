"""One instance on its way in."""

from __future__ import annotations

import hashlib
import uuid

from producers.header import HEAD_BYTES
from runtime.buckets import RAW
from runtime.connections import Connections
from schemas.tables import day_of


class Incoming:
    """An instance that is hashed, encrypted and stored as it comes, and never held."""

    def __init__(self, connections: Connections, site: str) -> None:
        self.received_at = connections.clock.now()
        self.key = object_key(site, self.received_at)
        self.size = 0
        self._writer = connections.sealed.open_write(RAW, self.key)
        self._sha256 = hashlib.sha256()
        self._head = bytearray()

    def write(self, data: bytes) -> None:
        """Append bytes of the instance; raises RetryError when the store does not answer."""
        if len(self._head) < HEAD_BYTES:
            self._head += data[: HEAD_BYTES - len(self._head)]
        self._sha256.update(data)
        self._writer.write(data)
        self.size += len(data)

    def commit(self) -> None:
        """Make the object durable."""
        self._writer.commit()

    def abort(self) -> None:
        """Forget the instance, for example because its sender went away in the middle."""
        self._writer.abort()

    @property
    def head(self) -> bytes:
        """First bytes, plain."""
        return bytes(self._head)

    @property
    def sha256(self) -> bytes:
        """SHA-256 of all bytes so far."""
        return self._sha256.digest()


def object_key(site: str, at: int, name: str = "") -> str:
    """Key of a raw object: `<site>/<yyyy>/<mm>/<dd>/<uuid>`, chosen before anything of the object is known."""
    return f"{site}/{day_of(at).replace('-', '/')}/{name or uuid.uuid4()}"
