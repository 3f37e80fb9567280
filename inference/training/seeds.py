"""Which seeds are whose. No image is ever used for two purposes (held by a test)."""

from __future__ import annotations

DEMONSTRATION = range(1_000_000)
"""For whoever shows or tests the system: images the model has never seen."""

TRAINING = range(1_000_000, 1_004_500)
CALIBRATION = range(2_000_000, 2_000_600)
TEST = range(3_000_000, 3_000_600)
