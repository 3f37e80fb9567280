"""What a model must not see is refused on the first image, with a reason; nothing is guessed or mended.

The header is held to what the model was made for. Where the header may lie (values inverted, rescale lost, a window already
applied, an image turned), the picture itself is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference import chest
from inference.frames import DicomImage
from inference.geometry import functional_groups, pixel_spacing
from inference.header import Attributes
from inference.spec import ModelSpec, NotAcceptableError
from inference.syntaxes import RLE

REASONS = frozenset(
    {
        "not a DICOM file", "header unreadable", "no pixel data", "wrong modality", "wrong body part", "wrong view",
        "view unknown", "more than one frame", "colour image", "signed pixel values", "unsupported bit depth", "absurd size",
        "unsupported transfer syntax", "pixel data truncated", "pixel data unreadable", "constant image",
        "non-square pixels", "rescale missing", "not Hounsfield units", "window already applied", "blank or padded",
        "inverted values", "rotated", "not a frontal chest",
    }
)  # fmt: skip
"""Every reason that :class:`NotAcceptableError` may carry from here."""

SMALLEST_SIDE, LARGEST_SIDE = 128, 8192
"""Rows and columns a projection X-ray can have; outside lie thumbnails and corrupt headers."""
SMALLEST_SLICE = 32
"""Rows and columns of a slice: diffusion and spectroscopy localisers come in 64."""
LARGEST_PIXELS = 36_000_000
"""Pixels per frame: a 43 cm detector at 0.075 mm has 33 million."""
SQUARE_TOLERANCE = 0.02
"""Relative difference of row and column spacing that still counts as square."""
KNOWN_COLOURS: Mapping[int, frozenset[str]] = {
    1: frozenset({"MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"}),
    3: frozenset({"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT"}),
}
"""Photometric Interpretation by Samples per Pixel, of what the decoders give as gray, by a palette, or as red, green and blue."""
WINDOWED_BITS = 8
"""Bits of an image that a window was applied to: detectors and scanners give 10 to 16."""
LEAST_LEVELS = 300
"""Different values in a sample of :data:`SAMPLED` pixels; 256 or fewer were 8 bits once. Real and generated ones have 1000 up."""
SAMPLED = 40_000
LARGEST_SHARE = 0.6
"""Share of one value, among 256 steps from darkest to brightest, beyond which an image is mostly padding or shutter."""
AIR, TISSUE = (-1100, -700), (-200, 300)
"""Hounsfield units of air and of soft tissue and blood: both are in every slice, and nothing else puts values at both places."""
LEAST_PART = 0.02
"""Share of a slice that must be air, and that must be tissue."""


def check_kind(header: Attributes, spec: ModelSpec) -> None:
    """Modality, body part and view must be ones that the model was made for; an unknown view is not."""
    if text(header, "Modality") not in spec.modalities:
        raise NotAcceptableError("wrong modality")
    if spec.body_parts and text(header, "BodyPartExamined") not in spec.body_parts:
        raise NotAcceptableError("wrong body part")
    if not spec.views:
        return
    view = text(header, "ViewPosition")
    if not view:
        raise NotAcceptableError("view unknown")
    if view not in spec.views:
        raise NotAcceptableError("wrong view")


def check_size(header: Attributes, smallest: int = 1) -> None:
    """Refuse a size that no image of this kind has, before memory is asked for."""
    rows, columns = int(header.get("Rows") or 0), int(header.get("Columns") or 0)
    if min(rows, columns) < smallest or max(rows, columns) > LARGEST_SIDE or rows * columns > LARGEST_PIXELS:
        raise NotAcceptableError("absurd size")


def check_bits(image: DicomImage) -> None:
    """Values that are no codestreams must lie in the lowest bits (PS3.5 §8.1.1): readers differ on all others."""
    header = image.header
    high = header.get("HighBit")
    if image.encapsulated and image.syntax != RLE:
        return
    if high is not None and int(high) != int(header.get("BitsStored") or 0) - 1:
        raise NotAcceptableError("unsupported bit depth")


def check_colour(header: Attributes) -> None:
    """Colour that is told apart: three samples of a known kind, or one of gray or with a palette."""
    samples = int(header.get("SamplesPerPixel") or 1)
    if text(header, "PhotometricInterpretation") not in KNOWN_COLOURS.get(samples, ()):
        raise NotAcceptableError("colour image")


def check_gray(header: Attributes, frame: int = 0) -> None:
    """One sample per pixel, black to white, with square pixels."""
    if int(header.get("SamplesPerPixel") or 1) != 1 or not text(
        header, "PhotometricInterpretation"
    ).startswith("MONOCHROME"):
        raise NotAcceptableError("colour image")
    if header.get("BitsAllocated") not in {8, 16} or not 6 <= int(header.get("BitsStored") or 0) <= 16:
        raise NotAcceptableError("unsupported bit depth")
    spacing = pixel_spacing(header, frame) or header.get("ImagerPixelSpacing")
    if spacing and min(spacing) > 0 and abs(float(spacing[0]) / float(spacing[1]) - 1) > SQUARE_TOLERANCE:
        raise NotAcceptableError("non-square pixels")


def check_xray_header(header: Attributes) -> None:
    """One unsigned frame of more than 8 bits."""
    if int(header.get("NumberOfFrames") or 1) != 1:
        raise NotAcceptableError("more than one frame")
    check_gray(header)
    if int(header.get("PixelRepresentation") or 0) != 0:
        raise NotAcceptableError("signed pixel values")
    if int(header.BitsStored) <= WINDOWED_BITS:
        raise NotAcceptableError("window already applied")


def check_ct_header(header: Attributes, frame: int = 0) -> tuple[float, float]:
    """Slope and intercept to Hounsfield units (PS3.3 §C.11.1.1.2); no localiser and no secondary picture of 8 bits."""
    check_gray(header, frame)
    if "LOCALIZER" in [str(value).upper() for value in header.get("ImageType") or ()]:
        raise NotAcceptableError("wrong view")
    if int(header.BitsStored) <= WINDOWED_BITS:
        raise NotAcceptableError("window already applied")
    source = rescale_source(header, frame)
    told = rescale(source)
    if told is None or text(source, "RescaleType") not in {"", "HU"}:
        raise NotAcceptableError("rescale missing")
    return told


def check_rescale(header: Attributes, frame: int) -> tuple[float, float]:
    """Slope and intercept of values without a unit; 1 and 0 where nothing is told of them, refused where it makes no sense."""
    source = rescale_source(header, frame)
    if source.get("RescaleSlope") in {None, ""} and source.get("RescaleIntercept") in {None, ""}:
        return 1.0, 0.0
    told = rescale(source)
    if told is None:
        raise NotAcceptableError("rescale missing")
    return told


def rescale_source(header: Attributes, frame: int) -> Attributes:
    """Where a frame's rescale stands: in its own functional groups, the shared ones (PS3.3 §C.7.6.16.2.9), or the header."""
    for group in functional_groups(header, frame):
        for item in group.get("PixelValueTransformationSequence") or ():
            return item  # type: ignore[no-any-return]  # an item of a sequence
    return header


def rescale(source: Attributes) -> tuple[float, float] | None:
    """Slope and intercept; None where one is missing, is no number, or the slope is not above zero."""
    slope, intercept = source.get("RescaleSlope"), source.get("RescaleIntercept")
    if slope in {None, ""} or intercept in {None, ""}:
        return None
    found = float(slope), float(intercept)
    return found if np.all(np.isfinite(found)) and found[0] > 0 else None


def check_xray(small: NDArray[np.integer[Any]], *, template: str) -> None:
    """The picture: not empty, and what ``template`` names. ``small`` has no padding of the square."""
    check_filled(small)
    if template == "chest" and (reason := chest.refusal(small)):
        raise NotAcceptableError(reason)


def check_levels(stored: NDArray[np.integer[Any]]) -> None:
    """Enough different values for what the header says the depth is: a window of 8 bits cannot be undone.

    For values as they were stored at full resolution only; a filter makes new ones.
    """
    sample = np.ascontiguousarray(stored).reshape(-1)[:: max(1, stored.size // SAMPLED)]
    if sample.size < SAMPLED // 2:
        return
    low = int(sample.min())
    levels = np.count_nonzero(np.bincount(sample.astype(np.int64) - low))
    if 1 < levels < LEAST_LEVELS:
        raise NotAcceptableError("window already applied")


def check_filled(small: NDArray[Any]) -> None:
    """Neither one value nor mostly one."""
    low, high = float(small.min()), float(small.max())
    if low == high:
        raise NotAcceptableError("constant image")
    steps = np.bincount(((small.astype(np.float32) - low) * (255 / (high - low))).astype(np.uint8).ravel())
    if int(steps.max()) > LARGEST_SHARE * small.size:
        raise NotAcceptableError("blank or padded")


def check_hounsfield(stored: NDArray[np.integer[Any]], slope: float, intercept: float) -> None:
    """There is air where air is, and tissue where tissue is: the mark of Hounsfield units, a lost rescale or window shows."""
    seen = stored[::4, ::4].astype(np.float32) * np.float32(slope) + np.float32(intercept)
    if float(seen.min()) == float(seen.max()):
        raise NotAcceptableError("constant image")
    for low, high in (AIR, TISSUE):
        if np.count_nonzero((seen >= low) & (seen <= high)) < LEAST_PART * seen.size:
            raise NotAcceptableError("not Hounsfield units")


def text(header: Attributes, keyword: str) -> str:
    """Value of a code string, without padding and in capitals; nothing where it is missing."""
    return str(header.get(keyword) or "").strip().upper()
