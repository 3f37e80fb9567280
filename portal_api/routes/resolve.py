"""Accession numbers for other systems that act on findings."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from portal_api.context import PortalDependency, requires
from portal_api.identity import RESOLVE_PATH, Person
from portal_api.routes import bodies
from portal_api.routes.bodies import TooLargeError
from portal_api.services import resolution as service
from portal_api.services.access import Permission
from portal_api.services.resolution import MOST_STUDIES, STUDY_FORM, Purpose, ResolvedView

router = APIRouter()
Service = Annotated[Person, Depends(requires(Permission.RESOLVE_STUDIES))]

MOST_BYTES = 64 * 1024
"""Bytes of a body: three times what the most studies take, whatever the spaces between them."""


class ResolveBody(BaseModel):
    """Which studies, and what for."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    purpose: Purpose = Field(description="Why identity is needed; stands in the audit event.")
    studies: list[Annotated[str, Field(pattern=STUDY_FORM)]] = Field(
        min_length=1,
        description=f"Keys of studies as records of the log have them; at most {MOST_STUDIES} in one request.",
    )


@router.post(
    RESOLVE_PATH,
    responses={
        400: {"description": "The body is not JSON."},
        401: {"description": "No token, or none that is known."},
        403: {"description": "The token belongs to no service; the attempt is on record."},
        413: {"description": f"More than {MOST_BYTES} bytes, or more than {MOST_STUDIES} studies."},
        422: {
            "description": "A purpose that is none, or keys that are none; says which, never what stood there."
        },
        503: {
            "description": "The audit event could not be confirmed or the vault not be read; nothing was opened."
        },
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": ResolveBody.model_json_schema()}},
        }
    },
)
async def resolve(request: Request, portal: PortalDependency, person: Service) -> ResolvedView:
    """Return the accession number of each study of the token's site; what another site has is unknown."""
    body = await bodies.read(request, ResolveBody, MOST_BYTES)
    if len(body.studies) > MOST_STUDIES:
        raise TooLargeError(f"One request asks for at most {MOST_STUDIES} studies: ask in several.")
    return await asyncio.to_thread(service.resolve, portal.connections, person, body.purpose, body.studies)
