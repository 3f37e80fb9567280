"""Who may speak for which site: bearer tokens, of which only the SHA-256 is kept.

A token is 256 random bits, so its plain digest cannot be guessed back and looking it up leaks nothing by its timing.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import hashlib
import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from runtime.errors import StopError
from runtime.settings import SecretReference

ROLES = ("gateway", "radiologist", "operator", "service")
"""What a credential may be used for: sending studies, reading them, running the system, other systems' commands."""
TOKEN_BYTES = 32
"""bytes of randomness in a token: nobody guesses 256 bits."""


@dataclass(frozen=True, slots=True)
class Credential:
    """What a token stands for: exactly one site, one role, one user."""

    site: str
    role: str
    user: str


class Credentials:
    """The credentials file, read again whenever it changes.

    Parameters
    ----------
    reference
        Where the file is: `Settings.keys.credentials`.

    Raises
    ------
    StopError
        The file is missing or is no credentials file.
    """

    def __init__(self, reference: SecretReference) -> None:
        self._reference = reference
        self._version: tuple[int, int] = (-1, -1)
        self._known: dict[str, Credential] = {}
        self._refresh()

    def verify(self, authorization_header: str) -> Credential | None:
        """Return what an Authorization header stands for, or None.

        `Bearer TOKEN` (RFC 6750 §2.1) and, for clients that know nothing newer, `Basic base64(user:TOKEN)` (RFC 7617 §2),
        whose user must be the token's own.
        """
        self._refresh()
        scheme, _, rest = authorization_header.strip().partition(" ")
        if scheme.lower() == "bearer":
            return self._known.get(_digest(rest.strip()))
        if scheme.lower() != "basic":
            return None
        try:
            user, _, token = base64.b64decode(rest.strip(), validate=True).decode("utf-8").partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        credential = self._known.get(_digest(token))
        return credential if credential is not None and credential.user == user else None

    def _refresh(self) -> None:
        path = self._reference.path
        try:
            status = path.stat() if path else None
        except OSError as error:
            raise StopError(f"no credentials at {self._reference}") from error
        version = (status.st_mtime_ns, status.st_ino) if status else (0, 0)
        if version != self._version:
            self._known = _parsed(self._reference.read())
            self._version = version


def new_token(path: Path, site: str, role: str, user: str) -> str:
    """Add a credential to the file (made if missing, readable by its owner only) and return its token, this once.

    Raises
    ------
    ValueError
        The role is unknown, or site or user is empty.
    """
    if role not in ROLES or not site or not user:
        raise ValueError(f"a token needs a site, a user and a role out of {', '.join(ROLES)}")
    token = secrets.token_urlsafe(TOKEN_BYTES)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(path.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = _parsed(path.read_bytes()) if path.exists() else {}
        known[_digest(token)] = Credential(site=site, role=role, user=user)
        _replace(
            path, json.dumps([{"sha256": digest, **asdict(each)} for digest, each in known.items()], indent=1)
        )
    return token


def _replace(path: Path, text: str) -> None:
    """Write the file whole or not at all: gateways read it while it changes."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _parsed(stored: bytes) -> dict[str, Credential]:
    try:
        entries = json.loads(stored)
        return {each["sha256"]: Credential(each["site"], each["role"], each["user"]) for each in entries}
    except (ValueError, KeyError, TypeError) as error:
        raise StopError("the credentials file cannot be read") from error


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
