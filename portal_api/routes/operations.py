"""What operators look at, and the description of the API."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from portal_api.context import PortalDependency, requires
from portal_api.identity import Person
from portal_api.routes.pages import page
from portal_api.services import operations as service
from portal_api.services.access import Permission
from portal_api.services.operations import OperationsView

router = APIRouter()
Operator = Annotated[Person, Depends(requires(Permission.READ_OPERATIONS))]
Described = Annotated[Person, Depends(requires(Permission.READ_API))]


@router.get("/operations", include_in_schema=False)
def operations_page(request: Request, portal: PortalDependency, person: Operator) -> Response:
    """Show how the system is doing."""
    return page(request, "operations.html", operations=service.read_operations(portal.connections, person))


@router.get("/api/operations")
def operations(portal: PortalDependency, person: Operator) -> OperationsView:
    """Return processes, lag, quarantine and audit."""
    return service.read_operations(portal.connections, person)


@router.get("/api/openapi.json", include_in_schema=False)
def description(request: Request, _: Described) -> dict[str, Any]:
    """Return the description of the API (OpenAPI 3.1)."""
    described: dict[str, Any] = request.app.openapi()
    return described
