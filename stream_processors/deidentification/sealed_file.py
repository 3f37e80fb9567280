"""Encrypt a file that was not de-identified, so that what is set aside is safe to keep (AES-256-GCM)."""

from __future__ import annotations

import secrets
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MAGIC: Final = b"RADQUAR\x01"
"""Name and version of the layout: magic, 16 bytes of salt, 12 of nonce, then the sealed bytes."""
SALT_BYTES: Final = 16
NONCE_BYTES: Final = 12


def seal(plain: bytes, secret: bytes, name: str) -> bytes:
    """Encrypt a file under a key derived for it alone; `name` (its relative path) is bound to it."""
    salt, nonce = secrets.token_bytes(SALT_BYTES), secrets.token_bytes(NONCE_BYTES)
    return MAGIC + salt + nonce + AESGCM(_key(secret, salt)).encrypt(nonce, plain, _bound(name))


def unseal(sealed: bytes, secret: bytes, name: str) -> bytes:
    """Decrypt what `seal` made.

    Raises
    ------
    ValueError
        When it is no sealed file.
    cryptography.exceptions.InvalidTag
        When it was changed, moved, or sealed under another secret.
    """
    if not sealed.startswith(MAGIC):
        raise ValueError("not a sealed file")
    at = len(MAGIC)
    salt, nonce = sealed[at : at + SALT_BYTES], sealed[at + SALT_BYTES : at + SALT_BYTES + NONCE_BYTES]
    return AESGCM(_key(secret, salt)).decrypt(nonce, sealed[at + SALT_BYTES + NONCE_BYTES :], _bound(name))


def _bound(name: str) -> bytes:
    """Give the bytes of a path, which need not be UTF-8: old file systems hold other names."""
    return name.encode("utf-8", "surrogateescape")


def _key(secret: bytes, salt: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt, b"radstream de-identification quarantine 1").derive(secret)
