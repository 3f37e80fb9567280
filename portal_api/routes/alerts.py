"""Alerts that wait for a person."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from portal_api.context import PortalDependency, requires
from portal_api.identity import Person
from portal_api.routes.pages import not_modified, open_alerts, page
from portal_api.routes.studies import answered
from portal_api.services import alerts as service
from portal_api.services import commands
from portal_api.services.access import Permission
from portal_api.services.alerts import AlertsView
from portal_api.services.commands import Answer

router = APIRouter()
Reader = Annotated[Person, Depends(requires(Permission.READ_ALERTS))]
Acknowledger = Annotated[Person, Depends(requires(Permission.ACKNOWLEDGE_ALERT))]


class AcknowledgeBody(BaseModel):
    """Which alert a person answers, in the state they saw."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    study: str = Field(max_length=64, description="Study of the alert.")
    version_seen: int = Field(ge=0, description="Version of the alert that was on the screen.")


@router.get("/alerts", include_in_schema=False)
def alerts_page(request: Request, portal: PortalDependency, person: Reader) -> Response:
    """Show what waits for a person."""
    found = service.with_names(portal.connections, person, service.read_alerts(portal.connections, person))
    return page(request, "alerts.html", found=found, alerts=open_alerts(request))


@router.get("/api/alerts", response_model=AlertsView, responses={304: {"description": "Nothing changed."}})
def alerts(
    response: Response,
    portal: PortalDependency,
    person: Reader,
    if_none_match: Annotated[str, Header()] = "",
) -> AlertsView | Response:
    """Return the alerts that nobody acknowledged, and those acknowledged today."""
    found = service.read_alerts(portal.connections, person)
    if found.etag == if_none_match:
        return not_modified(found.etag)
    response.headers["ETag"] = found.etag
    return service.with_names(portal.connections, person, found)


@router.post(
    "/api/alerts/{alert}/acknowledge",
    response_model=Answer,
    responses={
        202: {"model": Answer, "description": "Taken; the outcome is not known yet."},
        409: {"model": Answer, "description": "Somebody acknowledged it, or it changed, first."},
        422: {"model": Answer, "description": "Refused, with the reason."},
    },
)
async def acknowledge(
    portal: PortalDependency, person: Acknowledger, alert: str, body: AcknowledgeBody
) -> Response:
    """Say that a person has taken notice, and wait up to 2 s for the outcome."""
    answer = await commands.acknowledge(portal.connections, person, body.study, alert, body.version_seen)
    return answered(answer)
