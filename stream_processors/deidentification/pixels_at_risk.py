"""Which images may have identity written into their pixels, and what is done about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from stream_processors.deidentification.facts import Facts
from stream_processors.deidentification.identity import Identity
from stream_processors.deidentification.profile import Profile
from stream_processors.deidentification.regions import device_boxes
from stream_processors.deidentification.report import Blanked
from stream_processors.deidentification.table import CLEAN_PIXELS

BURNED_IN: Final = "burned-in-annotation"
ULTRASOUND: Final = "ultrasound"
SECONDARY_CAPTURE: Final = "secondary-capture"
DEVICE: Final = "device-region"
RADIOGRAPH: Final = "radiograph"

_ULTRASOUND_CLASSES = tuple(
    f"1.2.840.10008.5.1.4.1.1.{each}" for each in ("3", "3.1", "6", "6.1", "6.2", "6.3")
)
_CAPTURE_CLASS = "1.2.840.10008.5.1.4.1.1.7"
_COMPUTED_RADIOGRAPHY_CLASS = "1.2.840.10008.5.1.4.1.1.1"


@dataclass(frozen=True, slots=True)
class Pixels:
    """One file's pixels, as a policy is asked about them."""

    facts: Facts
    profile: Profile
    transfer_syntax_uid: str
    source: bytes = field(repr=False)
    """The file, inflated; its head only when it is shorter than `size`."""
    data_set_at: int
    """Where the data set begins in `source`."""
    size: int
    """Bytes of the whole file."""
    value_at: int
    """Where the value of Pixel Data begins in `source`; -1 when the file has no pixels."""
    end: int
    """Where it ends; of encapsulated pixels, where the file ends."""
    encapsulated: bool
    identity: Identity = field(repr=False)
    """The patient's words, as the header gives them."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of the pixels.

    Parameters
    ----------
    at_risk
        Why the pixels are withheld; None when they may be handed on, as they are or as `value`.
    value
        What replaces the value of Pixel Data (fragments and delimiter included, when encapsulated); None: as it is.
    vr
        `OB` or `OW`, of `value`.
    transfer_syntax_uid
        Of the output, when `value` is coded in another syntax than the source. Explicit VR Little Endian ones only,
        and only for a source that is explicit and little endian, too.
    attributes
        VR and value of top-level attributes that `value` needs (Photometric Interpretation, Lossy Image Compression,
        Burned In Annotation, ...); None removes one. They are written as they are given.
    codes
        CID 7050 codes of what was done here (113101), beside the profile's.
    blanked
        How much was taken out of the pixels, for the report.
    """

    at_risk: str | None = None
    value: bytes | None = field(default=None, repr=False)
    vr: str = "OW"
    transfer_syntax_uid: str = ""
    attributes: Mapping[int, tuple[str, bytes] | None] = field(default_factory=lambda: MappingProxyType({}))
    codes: tuple[str, ...] = ()
    blanked: Blanked | None = None


PixelPolicy = Callable[[Pixels], Verdict]
"""Asked once for each file, before anything of it is handed out. A policy that has to see the pixels while `source`
is only the head raises `MoreNeededError(pixels.size)`, and is asked again. It may raise RefusedError."""

PASSED: Final = Verdict()


def withhold(pixels: Pixels) -> Verdict:
    """Hand on nothing that is at risk: the policy when no other is given."""
    reason = asked_or_at_risk(pixels)
    return PASSED if reason is None else Verdict(at_risk=reason)


def asked_or_at_risk(pixels: Pixels) -> str | None:
    """Say why the pixels are to be cleaned; None when they may be handed on as they are.

    Under Clean Pixel Data (113101) that is what is at risk, and computed radiographs besides: plate readers write the
    patient's name into them, and unlike digital X-ray's (PS3.3 §C.8.11.3) their header need not say so. One that does say
    that nothing is burned in is believed here, since without the option it would not be looked at either.
    """
    facts = pixels.facts
    reason = pixels_at_risk(facts)
    if reason is not None or CLEAN_PIXELS not in pixels.profile.options:
        return reason
    computed = facts.text(0x00080016) == _COMPUTED_RADIOGRAPHY_CLASS or facts.text(0x00080060).upper() == "CR"
    return RADIOGRAPH if computed and facts.text(0x00280301).upper() != "NO" else None


def pixels_at_risk(facts: Facts) -> str | None:
    """Say why the pixels may carry text; None when nothing speaks for it.

    Burned In Annotation "NO" clears nothing: devices write it onto images full of text. It only ever adds
    a reason.
    """
    if facts.text(0x00280301).upper() == "YES":
        return BURNED_IN
    sop_class, modality = facts.text(0x00080016), facts.text(0x00080060).upper()
    if modality in ("US", "IVUS") or sop_class in _ULTRASOUND_CLASSES:
        return ULTRASOUND
    captured = sop_class == _CAPTURE_CLASS or sop_class.startswith(_CAPTURE_CLASS + ".")
    if captured or modality in ("OT", "SC") or facts.text(0x00080064):
        return SECONDARY_CAPTURE
    return DEVICE if device_boxes(facts) else None
