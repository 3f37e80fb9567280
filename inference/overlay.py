"""Draws findings on the image: a new picture for people to look at, never a change of the source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from inference.localisation import Box, Finding
from inference.pixels import Geometry, display_array
from inference.spec import ModelSpec

BANNER = "DEMONSTRATION - NOT FOR CLINICAL USE"
"""The font at hand has no longer dash."""
PALETTE = ((255, 176, 46), (64, 196, 255), (190, 132, 255), (120, 220, 130), (255, 110, 130))
"""One colour per label, told apart by colour-blind readers through order and text as well."""
HEAT_FLOOR = 0.3
"""Heat below this share is not shown: a faint veil over everything hides the image."""
HEAT_OPACITY = 0.38
SMALLEST_SIDE, LARGEST_SIDE = 768, 1280
"""Longer side of the picture in pixels: text stays legible on small images, files stay small on large ones."""


@dataclass(frozen=True)
class _Canvas:
    picture: Image.Image
    scale: float
    """Picture pixels per original pixel."""
    unit: int
    """Text height in pixels."""


def draw(
    data: bytes,
    findings: Sequence[Finding],
    geometry: Geometry,
    spec: ModelSpec,
    *,
    kind: Literal["JPEG", "PNG"] = "JPEG",
) -> bytes:
    """The DICOM file's image with heat, boxes, names and probabilities of the findings that are present.

    Raises :class:`inference.spec.NotAcceptableError` where the image cannot be decoded.
    """
    canvas = _prepare(display_array(data))
    colours = {label.name: PALETTE[i % len(PALETTE)] for i, label in enumerate(spec.labels)}
    present = sorted((f for f in findings if f.present), key=lambda f: -f.probability)
    for finding in present:
        _tint(canvas, finding, geometry, colours[finding.label])
    taken: list[tuple[float, float, float, float]] = []
    for finding in present:
        if finding.box is not None:
            text = f"{finding.label.capitalize()}  {_percent(finding.probability)}"
            _frame(canvas, finding.box, text, colours[finding.label], taken)
    _caption(canvas, spec, bool(present))
    out = BytesIO()
    if kind == "PNG":
        canvas.picture.save(out, "PNG", compress_level=3)
    else:
        canvas.picture.save(out, "JPEG", quality=88)
    return out.getvalue()


def _prepare(gray: NDArray[np.uint8]) -> _Canvas:
    image = Image.fromarray(gray).convert("RGB")
    longest = max(image.size)
    scale = min(max(longest, SMALLEST_SIDE), LARGEST_SIDE) / longest
    size = (round(image.width * scale), round(image.height * scale))
    picture = image.resize(size, Image.Resampling.BICUBIC if scale > 1 else Image.Resampling.BOX)
    return _Canvas(picture, scale, max(13, max(size) // 48))


def _tint(canvas: _Canvas, finding: Finding, geometry: Geometry, colour: tuple[int, int, int]) -> None:
    """Lay the heat over the image, from nothing at the floor to the full opacity at the peak."""
    height, width = round(geometry.rows * geometry.scale), round(geometry.columns * geometry.scale)
    heat = finding.heat[geometry.top : geometry.top + height, geometry.left : geometry.left + width]
    share = np.clip((heat / max(float(heat.max()), 1e-6) - HEAT_FLOOR) / (1 - HEAT_FLOOR), 0, 1)
    alpha = Image.fromarray((share * (255 * HEAT_OPACITY)).astype(np.uint8))
    mask = alpha.resize(canvas.picture.size, Image.Resampling.BICUBIC)
    canvas.picture.paste(Image.new("RGB", canvas.picture.size, colour), (0, 0), mask)


def _frame(
    canvas: _Canvas,
    box: Box,
    text: str,
    colour: tuple[int, int, int],
    taken: list[tuple[float, float, float, float]],
) -> None:
    """Outline and label; the label stands above the box, or where no other label is."""
    pen = ImageDraw.Draw(canvas.picture)
    x0, y0, x1, y1 = (v * canvas.scale for v in box)
    line = max(3, canvas.unit // 5)
    pen.rectangle((x0 - 1, y0 - 1, x1 + 1, y1 + 1), outline=(0, 0, 0), width=line + 2)
    pen.rectangle((x0, y0, x1, y1), outline=colour, width=line)
    font = ImageFont.load_default(canvas.unit)
    width, height = pen.textlength(text, font) + canvas.unit * 0.8, canvas.unit * 1.5
    left = min(max(0.0, x0), canvas.picture.width - width)
    top = y0 - height if y0 > height + 2 * canvas.unit else y1
    while any(left < b[2] and b[0] < left + width and top < b[3] and b[1] < top + height for b in taken):
        top += height
    taken.append((left, top, left + width, top + height))
    pen.rectangle(taken[-1], fill=colour)
    pen.text((left + canvas.unit * 0.4, top + height / 2), text, (10, 14, 20), font, anchor="lm")


def _percent(probability: float) -> str:
    """Whole per cent; never a certainty."""
    return ">99%" if probability >= 0.995 else f"{probability:.0%}"


def _caption(canvas: _Canvas, spec: ModelSpec, anything: bool) -> None:
    """Burn in what the picture is: a banner above, model and result below."""
    picture, unit = canvas.picture, canvas.unit
    pen = ImageDraw.Draw(picture, "RGBA")
    font, small = ImageFont.load_default(unit), ImageFont.load_default(max(11, round(unit * 0.8)))
    pen.rectangle((0, 0, picture.width, unit * 1.9), fill=(150, 20, 20, 225))
    pen.text((picture.width / 2, unit * 0.95), BANNER, (255, 255, 255), font, anchor="mm")
    told = f"{spec.name} v{spec.version}  {spec.digest[:12]}"
    told += "" if anything else "  ·  no finding above threshold"
    pen.rectangle((0, picture.height - unit * 1.7, picture.width, picture.height), fill=(8, 12, 18, 190))
    pen.text((unit * 0.6, picture.height - unit * 0.85), told, (225, 230, 236), small, anchor="lm")
