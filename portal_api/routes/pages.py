"""Answers that every route builds the same way."""

from __future__ import annotations

from typing import Any

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from portal_api.context import person_of, portal_of
from portal_api.services import alerts as alert_service
from portal_api.services.access import Permission, allows
from portal_api.services.alerts import AlertSummary

VARY = {"Vary": "Accept, Cookie"}


def page(request: Request, template: str, *, status: int = 200, **values: Any) -> Response:
    """Render a whole page for whoever asks."""
    portal, person = portal_of(request), person_of(request)
    html = portal.templates.get_template(template).render(
        person=person,
        now=portal.connections.clock.now(),
        path=request.url.path,
        allowed={permission.name for permission in Permission if person and allows(person.role, permission)},
        **{"alerts": None, **values},
    )
    return HTMLResponse(html, status)


def fragment(request: Request, template: str, *, etag: str, **values: Any) -> Response:
    """Render a part of a page, with its validator."""
    response = page(request, template, **values)
    response.headers.update({"ETag": etag, **VARY})
    return response


def not_modified(etag: str) -> Response:
    """Answer that the client has the newest form (RFC 9110 §15.4.5)."""
    return Response(status_code=304, headers={"ETag": etag, **VARY})


def problem(status: int, title: str, detail: str) -> JSONResponse:
    """Answer with problem details (RFC 9457)."""
    return JSONResponse(
        {"type": "about:blank", "status": status, "title": title, "detail": detail},
        status,
        media_type="application/problem+json",
    )


def open_alerts(request: Request) -> AlertSummary | None:
    """Return what the head of the page says of alerts, for those who may read them."""
    portal, person = portal_of(request), person_of(request)
    if person is None or not allows(person.role, Permission.READ_ALERTS):
        return None
    return alert_service.read_summary(portal.connections, person)
