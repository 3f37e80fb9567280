"""What a site may choose of de-identification: codes of the standard, which settings check before any process starts."""

from __future__ import annotations

from typing import Literal

DeidentificationOption = Literal[
    "113101", "113103", "113104", "113105", "113107", "113108", "113109", "113110", "113111", "113112"
]
"""DCM codes of the options that de-identification offers (`docs/deidentification.md`)."""
