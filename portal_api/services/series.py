"""A study's images, series by series, with what stands in the way of showing one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from schemas.rows import ResultImageRow, StudyInstanceRow

WITHHELD = {
    "burned-in-annotation": "Withheld: the sender says that text is burned into the pixels.",
    "ultrasound": "Withheld: ultrasound pixels often carry the patient's name, and this site has them not cleaned.",
    "secondary-capture": "Withheld: a screen capture may show the patient's name, and this site has it not cleaned.",
    "device-region": "Withheld: this device is known to write the patient's name into its pixels.",
    "radiograph": "Withheld: a computed radiograph may show the patient's name, and was not cleaned.",
}
"""Sentence for each reason class of `pixels_at_risk`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageView:
    """One image of a series; `obstacle` says why it cannot be shown, or is empty."""

    instance: str
    digest: str
    view_position: str
    rows: int
    columns: int
    frames: int
    synthetic: bool
    obstacle: str
    overlay: bool
    boxes_blanked: int
    """Boxes of every frame in which text stood or may have stood."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesView:
    """A series with its images in order of arrival."""

    series: str
    number: int
    modality: str
    images: tuple[ImageView, ...]


def series_views(
    instances: Sequence[StudyInstanceRow], overlays: Sequence[ResultImageRow]
) -> tuple[SeriesView, ...]:
    """Group a study's current images by series; series and images stand in order of arrival."""
    overlaid = {overlay.instance for overlay in overlays if overlay.overlay_key}
    arrived = sorted(current_versions(instances), key=arrival)
    order = {series: number for number, series in enumerate(dict.fromkeys(row.series for row in arrived), 1)}
    grouped = groupby(sorted(arrived, key=lambda row: order[row.series]), key=lambda row: row.series)
    return tuple(_series(order[series], list(rows), overlaid) for series, rows in grouped)


def current_versions(instances: Sequence[StudyInstanceRow]) -> list[StudyInstanceRow]:
    """Return one version of each instance: the first that arrived stays current."""
    first: dict[str, StudyInstanceRow] = {}
    for row in sorted(instances, key=arrival):
        first.setdefault(row.instance, row)
    return list(first.values())


def arrival(row: StudyInstanceRow) -> tuple[int, str, str]:
    """Sort key: receipt, then names, so that the order is total."""
    return (row.received_at or 0, row.instance, row.digest)


def obstacle(row: StudyInstanceRow) -> str:
    """Return why an image cannot be shown, or an empty string."""
    if row.pixels_at_risk:
        return WITHHELD.get(row.pixels_at_risk, f"Withheld: {row.pixels_at_risk}.")
    if not row.rows or not row.columns:
        return "This object holds no image."
    return ""


def _series(number: int, rows: list[StudyInstanceRow], overlaid: set[str]) -> SeriesView:
    return SeriesView(
        series=rows[0].series or "",
        number=number,
        modality=rows[0].modality or "",
        images=tuple(
            ImageView(
                instance=row.instance,
                digest=row.digest,
                view_position=row.view_position or "unknown",
                rows=row.rows or 0,
                columns=row.columns or 0,
                frames=row.number_of_frames or 1,
                synthetic=bool(row.synthetic),
                obstacle=obstacle(row),
                overlay=row.instance in overlaid,
                boxes_blanked=row.boxes_blanked or 0,
            )
            for row in rows
        ),
    )
