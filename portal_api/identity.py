"""Who is asking: signed session cookies for browsers, bearer tokens for programs; and whether a request forges one."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from itsdangerous import BadData, URLSafeSerializer

from runtime.clock import MICROSECONDS, Clock
from runtime.credentials import Credential

RESOLVE_PATH = "/resolve"
"""Where other systems ask for accession numbers: not under `/api/`, which is the portal's own."""
SESSION_LIFETIME_S = 8 * 3600
"""Seconds: one shift; a workstation left on overnight asks again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """The one who asks. Everything they see is limited to `site`."""

    user: str
    role: str
    site: str
    csrf: str
    """Token that each state-changing request of a browser repeats; empty for a bearer token, which no browser adds unasked."""


class Sessions:
    """Signs and reads session cookies; keeps no state, so any number of portals share the key."""

    def __init__(self, secret: bytes, clock: Clock) -> None:
        self._clock = clock
        self._serializer = URLSafeSerializer(
            secret, salt="radstream.portal.session.v1", signer_kwargs={"digest_method": hashlib.sha256}
        )
        self.cookie = "radstream-" + hmac.new(secret, b"cookie-name", hashlib.sha256).hexdigest()[:8]
        """Cookie name. Cookies ignore ports: a second system on the same host must not overwrite the first one's session."""

    def issue(self, credential: Credential) -> str:
        """Return the cookie value of a new session."""
        return self._serializer.dumps(
            {
                "user": credential.user,
                "role": credential.role,
                "site": credential.site,
                "csrf": secrets.token_urlsafe(24),
                "until": self._clock.now() + SESSION_LIFETIME_S * MICROSECONDS,
            }
        )

    def read(self, cookie: str) -> Person | None:
        """Return who a cookie stands for, or None if it is forged, of another key, or over."""
        try:
            session = self._serializer.loads(cookie)
            person = Person(**{name: str(session[name]) for name in ("user", "role", "site", "csrf")})
            return person if self._clock.now() < int(session["until"]) else None
        except (BadData, KeyError, TypeError, ValueError):
            return None


def is_for_programs(path: str) -> bool:
    """Whether an address takes bearer tokens and answers problem details instead of pages."""
    return path == RESOLVE_PATH or path.startswith("/api/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What a request says of the page that made it, in headers that no page can set."""

    origin: str | None
    """`Origin`; None where no browser asks. `null` on forms, since pages here send no referrer."""
    host: str
    """`Host`."""
    fetch_site: str
    """`Sec-Fetch-Site`, empty from older browsers."""


def provenance(headers: Mapping[str, str]) -> Provenance:
    """Read where a request comes from."""
    return Provenance(
        origin=headers.get("origin"),
        host=headers.get("host", ""),
        fetch_site=headers.get("sec-fetch-site", ""),
    )


def same_origin(about: Provenance) -> bool:
    """Whether a state-changing request comes from a page of this portal, or from no page at all."""
    if about.origin is None:
        return about.fetch_site in ("", "none", "same-origin")
    if about.origin == "null":
        return about.fetch_site == "same-origin"
    return bool(about.host) and urlsplit(about.origin).netloc == about.host


def forged(person: Person, about: Provenance, token: str) -> bool:
    """Whether a state-changing request must be refused as cross-site request forgery."""
    if not same_origin(about):
        return True
    return bool(person.csrf) and not hmac.compare_digest(person.csrf.encode(), token.encode())
