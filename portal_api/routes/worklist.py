"""The worklist: `/` for people, `/api/worklist` for programs and for the page's own polling."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from portal_api.context import PortalDependency, requires
from portal_api.identity import Person
from portal_api.routes.pages import fragment, not_modified, page
from portal_api.services import worklist as service
from portal_api.services.access import Permission
from portal_api.services.worklist import WorklistView

router = APIRouter()
Reader = Annotated[Person, Depends(requires(Permission.READ_WORKLIST))]
View = Annotated[str, Query(max_length=16, description="`unread`, `mine`, `not-analysed`, or a modality.")]


@router.get("/", include_in_schema=False)
def worklist_page(
    request: Request, portal: PortalDependency, person: Reader, view: View = "unread"
) -> Response:
    """Show what waits, in reading order."""
    worklist = service.read_worklist(portal.connections, person, view)
    named = service.with_names(portal.connections, person, worklist)
    return page(request, "worklist.html", worklist=named, alerts=worklist.alerts)


@router.get(
    "/api/worklist", response_model=WorklistView, responses={304: {"description": "Nothing changed."}}
)
def worklist(
    request: Request,
    response: Response,
    portal: PortalDependency,
    person: Reader,
    view: View = "unread",
    accept: Annotated[str, Header()] = "",
    if_none_match: Annotated[str, Header()] = "",
) -> WorklistView | Response:
    """Return what waits, in reading order; with `Accept: text/html` as rows of the page."""
    worklist = service.read_worklist(portal.connections, person, view)
    if worklist.etag == if_none_match:
        return not_modified(worklist.etag)
    named = service.with_names(portal.connections, person, worklist)
    if accept.startswith("text/html"):
        return fragment(request, "worklist_live.html", etag=named.etag, worklist=named, alerts=named.alerts)
    response.headers["ETag"] = named.etag
    return named
