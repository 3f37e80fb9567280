"""Headers on every answer: what a browser may do with it."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing inline, nothing from elsewhere, no frames."""

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}

STATIC_PATH = "/static/"
PATIENT_CACHING = "no-store"
"""Nothing about a patient stays in a browser's cache."""
STATIC_CACHING = "public, max-age=31536000, immutable"
"""A static file's address carries its digest, so a changed file has another address."""


class SecurityHeaders:
    """Middleware that adds the headers, also to answers of the framework itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and add the headers to its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers["Cache-Control"] = caching(scope["path"], message["status"])
            await send(message)

        await self._app(scope, receive, send_with_headers)


def caching(path: str, status: int) -> str:
    """Return the Cache-Control value for an answer."""
    return STATIC_CACHING if path.startswith(STATIC_PATH) and status == 200 else PATIENT_CACHING
