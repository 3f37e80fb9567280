"""Which images may have identity written into their pixels."""

from __future__ import annotations

from typing import Final

from stream_processors.deidentification.facts import Facts

BURNED_IN: Final = "burned-in-annotation"
ULTRASOUND: Final = "ultrasound"
SECONDARY_CAPTURE: Final = "secondary-capture"

_ULTRASOUND_CLASSES = tuple(
    f"1.2.840.10008.5.1.4.1.1.{each}" for each in ("3", "3.1", "6", "6.1", "6.2", "6.3")
)
_CAPTURE_CLASS = "1.2.840.10008.5.1.4.1.1.7"


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
    return None
