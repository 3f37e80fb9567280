"""What is answered when something cannot be done: a designed page for people, problem details for programs."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from starlette.exceptions import HTTPException

from portal_api.context import ForgedRequestError, person_of
from portal_api.identity import is_for_programs
from portal_api.routes.bodies import MalformedError, TooLargeError
from portal_api.routes.pages import page, problem
from portal_api.services.access import ForbiddenError, MissingError, UnauthenticatedError, home
from portal_api.services.images import NoPictureError
from runtime.errors import DeadLetterError, RetryError

RETRY_AFTER_S = 5
"""Seconds a client is asked to wait when something behind the portal does not answer."""


def failure(request: Request, status: int, title: str, detail: str) -> Response:
    """Tell a failure in the form the caller reads."""
    if is_for_programs(request.url.path):
        return problem(status, title, detail)
    person = person_of(request)
    target = home(person.role) if person is not None else "/login"
    return page(
        request, "failure.html", status=status, title=title, detail=detail, code=status, target=target
    )


def unauthenticated(request: Request, _: Exception) -> Response:
    """Send people to the login page, tell programs."""
    if is_for_programs(request.url.path):
        response = problem(401, "Sign in", "There is no session, or it has ended.")
        response.headers["WWW-Authenticate"] = "Bearer"
        return response
    return RedirectResponse("/login", 303)


def forbidden(request: Request, _: Exception) -> Response:
    """Say that the role does not allow it."""
    return failure(request, 403, "Not for this role", "Your role does not open this page.")


def malformed(request: Request, error: Exception) -> Response:
    """Say why the body is none that this address reads."""
    return failure(request, 400, "Not readable", str(error))


def too_large(request: Request, error: Exception) -> Response:
    """Say what to do with a request that is too large."""
    return failure(request, 413, "Too large", str(error))


def forged(request: Request, _: Exception) -> Response:
    """Say that the request did not come from a page of this portal."""
    return failure(
        request,
        403,
        "Not from this page",
        "The request did not come from a page of this portal. Load the page again.",
    )


def missing(request: Request, error: Exception) -> Response:
    """Say that there is no such thing at this site."""
    what = error.what if isinstance(error, MissingError) else "page"
    return failure(request, 404, f"No such {what}", f"There is no such {what} at your site.")


def no_picture(_: Request, error: Exception) -> Response:
    """Say why an image cannot be shown."""
    return problem(422, "No picture", str(error))


def unavailable(request: Request, _: Exception) -> Response:
    """Say that something behind the portal does not answer now."""
    response = failure(
        request,
        503,
        "Not now",
        "A part of the system does not answer. Nothing is lost; try again in a moment.",
    )
    response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response


def broken(request: Request, _: Exception) -> Response:
    """Say that this is our fault."""
    return failure(
        request, 500, "Our fault", "Something went wrong here. It is in the log; the operators can see it."
    )


def http_error(request: Request, error: Exception) -> Response:
    """Tell what the framework refused (unknown path, wrong method)."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == 404:
        return missing(request, error)
    response = failure(request, status, "Not possible", "This address does not answer such a request.")
    headers = error.headers if isinstance(error, HTTPException) else None
    response.headers.update(headers or {})
    return response


def invalid(request: Request, error: Exception) -> Response:
    """Say which field is wrong, never what it held."""
    faults = error.errors() if isinstance(error, RequestValidationError) else []
    where = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults)
    return failure(request, 422, "Not understood", where)


def install(app: FastAPI) -> None:
    """Bind every failure to its answer."""
    app.add_exception_handler(UnauthenticatedError, unauthenticated)
    app.add_exception_handler(ForbiddenError, forbidden)
    app.add_exception_handler(ForgedRequestError, forged)
    app.add_exception_handler(MalformedError, malformed)
    app.add_exception_handler(TooLargeError, too_large)
    app.add_exception_handler(MissingError, missing)
    app.add_exception_handler(NoPictureError, no_picture)
    app.add_exception_handler(RetryError, unavailable)
    app.add_exception_handler(DeadLetterError, broken)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(Exception, broken)
