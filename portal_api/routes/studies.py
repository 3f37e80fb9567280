"""One study: page, JSON, images, trace, and commands on its review."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, model_validator

from portal_api.context import PortalDependency, requires
from portal_api.identity import Person
from portal_api.routes.pages import not_modified, open_alerts, page
from portal_api.services import commands, images
from portal_api.services import studies as service
from portal_api.services import trace as trace_service
from portal_api.services.access import Permission
from portal_api.services.commands import Answer, ReviewRequest
from portal_api.services.studies import StudyView
from portal_api.services.trace import TraceView

router = APIRouter()
Reader = Annotated[Person, Depends(requires(Permission.READ_STUDY))]
Viewer = Annotated[Person, Depends(requires(Permission.READ_IMAGE))]
Tracer = Annotated[Person, Depends(requires(Permission.READ_TRACE))]
Reviewer = Annotated[Person, Depends(requires(Permission.REVIEW_STUDY))]


class ReviewBody(BaseModel):
    """What a reader asks for, with the state they saw."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    action: Literal["claim", "release", "accept", "reject", "sign"]
    finding: str = Field("", max_length=128, description="Label of the finding, for `accept` and `reject`.")
    revision_seen: int = Field(ge=0, description="Revision of the study that was on the screen.")
    version_seen: int = Field(
        ge=0, description="Version of the review that was on the screen; 0 before the first."
    )

    @model_validator(mode="after")
    def _finding_where_one_is_meant(self) -> ReviewBody:
        if (self.action in ("accept", "reject")) != bool(self.finding):
            raise ValueError("accept and reject name a finding, the other actions none")
        return self


@router.get("/studies/{study}", include_in_schema=False)
def study_page(request: Request, portal: PortalDependency, person: Reader, study: str) -> Response:
    """Show one study."""
    found = service.with_name(
        portal.connections, person, service.read_study(portal.connections, person, study)
    )
    return page(request, "study.html", study=found, alerts=open_alerts(request))


@router.get(
    "/api/studies/{study}", response_model=StudyView, responses={304: {"description": "Nothing changed."}}
)
def study_json(
    response: Response,
    portal: PortalDependency,
    person: Reader,
    study: str,
    if_none_match: Annotated[str, Header()] = "",
) -> StudyView | Response:
    """Return one study: result, findings, images, review, alerts."""
    found = service.read_study(portal.connections, person, study)
    if found.etag == if_none_match:
        return not_modified(found.etag)
    response.headers["ETag"] = found.etag
    return service.with_name(portal.connections, person, found)


@router.get("/api/studies/{study}/trace")
def trace(portal: PortalDependency, person: Tracer, study: str) -> TraceView:
    """Return every event of the study with its time."""
    return trace_service.read_trace(portal.connections, person, study)


@router.get(
    "/api/studies/{study}/images/{instance}",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}}, 422: {"description": "The image cannot be shown."}},
)
def image(
    portal: PortalDependency,
    person: Viewer,
    study: str,
    instance: str,
    size: Annotated[Literal["full", "thumbnail"], Query()] = "full",
) -> Response:
    """Return the de-identified image, rendered with its own window."""
    data = images.picture(portal.connections, person, study, instance, thumbnail=size == "thumbnail")
    return Response(data, media_type=images.media_type(data))


@router.get(
    "/api/studies/{study}/images/{instance}/overlay",
    response_class=Response,
    responses={200: {"content": {"image/png": {}}}},
)
def overlay(portal: PortalDependency, person: Viewer, study: str, instance: str) -> Response:
    """Return the image with what the model looked at."""
    data = images.overlay(portal.connections, person, study, instance)
    return Response(data, media_type=images.media_type(data))


@router.post(
    "/api/studies/{study}/reviews",
    response_model=Answer,
    responses={
        202: {"model": Answer, "description": "Taken; the outcome is not known yet."},
        409: {"model": Answer, "description": "Somebody or something changed the study first."},
        422: {"model": Answer, "description": "Refused, with the reason."},
    },
)
async def review(portal: PortalDependency, person: Reviewer, study: str, body: ReviewBody) -> Response:
    """Ask for a change of the review and wait up to 2 s for the outcome."""
    answer = await commands.review(portal.connections, person, study, ReviewRequest(**body.model_dump()))
    return answered(answer)


def answered(answer: Answer) -> Response:
    """Turn an answer into a response with its status."""
    return JSONResponse(commands.as_json(answer), commands.STATUS_CODES[answer.state])
