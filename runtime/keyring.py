"""The vault's encryption keys: one seals, earlier ones still open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from runtime.errors import DeadLetterError, StopError
from runtime.settings import KeySettings

KEY_BYTES = 32
"""bytes; AES-256."""


@dataclass(frozen=True)
class KeyRing:
    """Master keys by id; data is never encrypted with one itself, but with a key derived for its purpose.

    Parameters
    ----------
    current
        Id of the key that seals.
    masters
        At least 32 random bytes each.

    Raises
    ------
    StopError
        A key is too short, an id too long for a header, or there is no current key.
    """

    current: str
    masters: Mapping[str, bytes] = field(repr=False)

    def __post_init__(self) -> None:
        if self.current not in self.masters:
            raise StopError("the vault has no current key")
        if any(len(master) < KEY_BYTES for master in self.masters.values()):
            raise StopError(f"a vault key is shorter than {KEY_BYTES} bytes")
        if any(not 0 < len(each.encode("utf-8")) <= KEY_BYTES for each in self.masters):
            raise StopError(f"a vault key's id is empty or longer than {KEY_BYTES} bytes")

    def derive(self, key_id: str, purpose: bytes, salt: bytes = b"") -> bytes:
        """Return the AES-256 key for a purpose and a salt (HKDF-SHA256, RFC 5869).

        Raises
        ------
        DeadLetterError
            `unknown-vault-key`: nobody gave this process the key of that id.
        """
        master = self.masters.get(key_id)
        if master is None:
            raise DeadLetterError("unknown-vault-key")
        return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=purpose).derive(master)


def key_ring(keys: KeySettings) -> KeyRing:
    """Read the vault's keys."""
    masters = {key_id: reference.read() for key_id, reference in keys.vault_retired.items()}
    return KeyRing(keys.vault_key_id, masters | {keys.vault_key_id: keys.vault.read()})


def bound(*parts: str | bytes) -> bytes:
    """Join parts for use as additional authenticated data: each preceded by its length, so that no two lists are equal."""
    raw = [part.encode("utf-8") if isinstance(part, str) else part for part in parts]
    return b"".join(len(part).to_bytes(4, "big") + part for part in raw)
