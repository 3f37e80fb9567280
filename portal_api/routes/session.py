"""Signing in and out: the only routes that ask for no permission."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from portal_api.context import ForgedRequestError, PortalDependency, person_of
from portal_api.identity import SESSION_LIFETIME_S, forged, provenance, same_origin
from portal_api.routes.pages import page
from portal_api.services.access import home, may_sign_in

router = APIRouter()


@router.get("/login", include_in_schema=False)
def login_page(request: Request) -> Response:
    """Ask for a token."""
    return page(request, "login.html", refused=False)


@router.post("/login", include_in_schema=False)
def login(
    request: Request,
    portal: PortalDependency,
    token: Annotated[str, Form(max_length=512)],
) -> Response:
    """Begin a session for a person's token."""
    if not same_origin(provenance(request.headers)):
        raise ForgedRequestError
    credential = portal.credentials.verify(f"Bearer {token.strip()}")
    if credential is None or not may_sign_in(credential.role):
        return page(request, "login.html", status=401, refused=True)
    response = RedirectResponse(home(credential.role), 303)
    response.set_cookie(
        portal.sessions.cookie,
        portal.sessions.issue(credential),
        max_age=SESSION_LIFETIME_S,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response


@router.post("/logout", include_in_schema=False)
def logout(
    request: Request,
    portal: PortalDependency,
    csrf: Annotated[str, Form(max_length=128)] = "",
) -> Response:
    """End the session in this browser."""
    person = person_of(request)
    if person is not None and forged(person, provenance(request.headers), csrf):
        raise ForgedRequestError
    response = RedirectResponse("/login", 303)
    response.delete_cookie(portal.sessions.cookie, httponly=True, samesite="strict")
    return response
