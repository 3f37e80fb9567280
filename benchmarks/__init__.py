"""Radstream against named peers and limits, side by side in one run."""

import os

# Before ONNX Runtime is first imported: its wheels report their use to their maker unless this says no.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
