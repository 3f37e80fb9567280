"""The policy that cleans pixels at risk (PS3.15 §E.3.1, Clean Pixel Data Option, 113101), or refuses the file."""

from __future__ import annotations

from typing import Final

from stream_processors.deidentification.descriptors import is_harmless
from stream_processors.deidentification.pixel_cleaning import Task
from stream_processors.deidentification.pixel_process import Answer, Workers
from stream_processors.deidentification.pixels_at_risk import (
    PASSED,
    PixelPolicy,
    Pixels,
    Verdict,
    asked_or_at_risk,
    withhold,
)
from stream_processors.deidentification.profile import Profile
from stream_processors.deidentification.refusal import MoreNeededError, RefusedError
from stream_processors.deidentification.regions import Box, device_boxes
from stream_processors.deidentification.report import Blanked
from stream_processors.deidentification.table import CLEAN_PIXELS

WORKERS: Final = Workers()
"""Of this process; each is started when it is first needed and ends with it."""

IMAGE_TYPE: Final = 0x00080008

MAX_FILE: Final = 1 << 29
"""bytes of a file that is cleaned: all of it is held in memory. Larger pixels would be more than is ever decoded."""


def policy_of(profile: Profile) -> PixelPolicy:
    """Choose what is done about pixels at risk: cleaned under 113101, else withheld."""
    return clean_pixels if CLEAN_PIXELS in profile.options else withhold


def clean_pixels(pixels: Pixels) -> Verdict:
    """Clean pixels at risk, and computed radiographs, in a worker; other pixels are not looked at.

    Raises
    ------
    MoreNeededError
        When the pixels are not all there.
    RefusedError
        pixels-unreadable, pixels-too-large, pixels-deadline, pixels-text-remains or verification-failed: what is at
        risk and cannot be cleaned goes nowhere.
    """
    if pixels.value_at < 0 or asked_or_at_risk(pixels) is None:
        return PASSED
    if pixels.size > MAX_FILE:
        raise RefusedError("pixels-too-large")
    if len(pixels.source) < pixels.size:
        raise MoreNeededError(pixels.size)
    at = pixels.data_set_at
    task = Task(
        pixels.transfer_syntax_uid,
        pixels.source[at:],
        pixels.value_at - at,
        pixels.end - at,
        device_boxes(pixels.facts),
    )
    return _verdict(pixels, WORKERS.do(task))


def _verdict(pixels: Pixels, answer: Answer) -> Verdict:
    described = answer.described
    attributes, found = described["attributes"], described["found"]
    assert isinstance(attributes, dict)
    assert isinstance(found, dict)
    changed: dict[int, tuple[str, bytes] | None] = {
        int(tag): None if given is None else (given[0], given[1].encode("latin-1"))
        for tag, given in attributes.items()
    }
    boxes = {origin: tuple(Box(*each) for each in given) for origin, given in found.items()}
    if any(boxes.values()) and IMAGE_TYPE in pixels.facts.values:
        changed[IMAGE_TYPE] = ("CS", _derived(pixels))
    syntax = str(described["syntax"])
    return Verdict(
        value=answer.value,
        vr=str(described["vr"]),
        transfer_syntax_uid="" if syntax == pixels.transfer_syntax_uid else syntax,
        attributes=changed,
        codes=(CLEAN_PIXELS,),
        blanked=Blanked(
            **{origin: len(each) for origin, each in boxes.items()}, frames=int(str(described["frames"]))
        ),
    )


def _derived(pixels: Pixels) -> bytes:
    """Say that pixel values were changed: value 1 is DERIVED (PS3.3 §C.7.6.1.1.2), the others as the table has them."""
    words = pixels.facts.text(IMAGE_TYPE).split("\\")[1:]
    kept = [
        word if is_harmless(word, code=True) and not pixels.identity.found_in([word.encode()]) else ""
        for word in (each.strip() for each in words)
    ]
    value = "\\".join(("DERIVED", *kept)).encode("ascii")
    return value + b" " * (len(value) % 2)
