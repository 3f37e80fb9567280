"""Bodies that programs send: bounded before they are read, and never quoted back."""

from __future__ import annotations

from typing import TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

Body = TypeVar("Body", bound=BaseModel)

JSON = "application/json"
"""What a body must call itself (RFC 8259 §11)."""
UNNAMED = "(unknown field)"
"""Stands for a field's name that is none of ours: it may be anything, a patient's name too."""


class MalformedError(Exception):
    """The body is no JSON."""


class TooLargeError(Exception):
    """The body is larger than this address reads, or asks for more than one answer gives."""


async def read(request: Request, model: type[Body], most_bytes: int) -> Body:
    """Read a JSON body as a model.

    Parameters
    ----------
    most_bytes
        Bytes after which nothing more is read.

    Raises
    ------
    TooLargeError
        There are more bytes.
    MalformedError
        They are no JSON.
    RequestValidationError
        They are JSON and something else than the model; says where, never what stood there.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        raise MalformedError(f"The body must be {JSON}.")
    data = bytearray()
    async for piece in request.stream():
        data += piece
        if len(data) > most_bytes:
            raise TooLargeError(f"A body here has at most {most_bytes} bytes: ask in several requests.")
    try:
        return model.model_validate_json(bytes(data))
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
    if any(fault["type"] == "json_invalid" for fault in faults):
        raise MalformedError("The body is not JSON.")
    named = model.model_fields.keys()
    raise RequestValidationError(
        [
            fault
            | {"loc": [part if isinstance(part, int) or part in named else UNNAMED for part in fault["loc"]]}
            for fault in faults
        ]
    )
