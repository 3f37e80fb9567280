"""Pixels for a reader: the de-identified object rendered, and the AI's overlay."""

from __future__ import annotations

from inference.pixels import display_image
from inference.spec import NotAcceptableError
from portal_api.identity import Person
from portal_api.services.access import MissingError
from portal_api.services.series import current_versions, obstacle
from portal_api.storage import studies as storage
from runtime.connections import Connections
from runtime.ports import ObjectMissingError

MAX_SIDE, THUMBNAIL_SIDE = 1024, 160
"""Pixels of the longer side: what a viewer of 1440 pixels shows, and what a thumbnail does at twice its size."""


class NoPictureError(Exception):
    """The image exists and cannot be shown; the message is a sentence for the reader."""


def picture(connections: Connections, person: Person, study: str, instance: str, *, thumbnail: bool) -> bytes:
    """Render an image of the person's site.

    Raises
    ------
    MissingError
        No such image at this site.
    NoPictureError
        Withheld, without pixels, or not decodable.
    """
    versions = storage.versions_of_instance(connections.tables, person.site, study, instance)
    if not versions:
        raise MissingError("image")
    row = current_versions(versions)[0]
    reason = obstacle(row)
    if reason:
        raise NoPictureError(reason)
    try:
        data = storage.object_bytes(connections.objects, row.bucket or "", row.object_key or "")
        return display_image(data, THUMBNAIL_SIDE if thumbnail else MAX_SIDE)
    except ObjectMissingError as error:
        raise MissingError("image") from error
    except NotAcceptableError as error:
        raise NoPictureError(f"This image cannot be decoded here: {error}.") from error


def overlay(connections: Connections, person: Person, study: str, instance: str) -> bytes:
    """Return the newest overlay of an image of the person's site; raises MissingError."""
    rows = storage.result_images(connections.tables, person.site, study)
    row = next((row for row in rows if row.instance == instance and row.overlay_key), None)
    if row is None:
        raise MissingError("overlay")
    try:
        return storage.object_bytes(connections.objects, row.bucket or "", row.overlay_key or "")
    except ObjectMissingError as error:
        raise MissingError("overlay") from error


def media_type(data: bytes) -> str:
    """Return the media type of a rendered picture by its first bytes."""
    return "image/png" if data.startswith(b"\x89PNG\r\n\x1a\n") else "image/jpeg"
