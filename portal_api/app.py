"""The application: routes, failures, headers, static files."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from portal_api.context import Portal
from portal_api.headers import SecurityHeaders
from portal_api.identity import Sessions
from portal_api.routes import alerts, failures, operations, resolve, session, studies, worklist
from portal_api.web.words import environment
from runtime.connections import Connections
from runtime.credentials import Credentials

WEB = Path(__file__).parent / "web"
VERSION = "0.1.0"
SUBJECTS = (worklist, studies, alerts, operations, resolve, session)
"""Every module with routes."""


def create_app(connections: Connections, credentials: Credentials) -> FastAPI:
    """Build the application over open connections."""
    app = bare_app()
    app.state.portal = portal(connections, credentials)
    return app


def portal(connections: Connections, credentials: Credentials) -> Portal:
    """What the routes work with: one system, and who may enter."""
    return Portal(
        connections=connections,
        credentials=credentials,
        sessions=Sessions(connections.settings.keys.session.read(), connections.clock),
        templates=environment(WEB),
    )


def bare_app() -> FastAPI:
    """Routes, failures and headers, to which ``app.state.portal`` has to be given."""
    app = FastAPI(
        title="Radstream portal",
        version=VERSION,
        summary="Worklist, studies, alerts and operations of one site.",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
    )
    for subject in SUBJECTS:
        app.include_router(subject.router)
    app.mount("/static", StaticFiles(directory=WEB / "static"))
    failures.install(app)
    app.add_middleware(SecurityHeaders)
    return app
