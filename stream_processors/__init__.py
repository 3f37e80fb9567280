"""Steps between topics: de-identification, assembly, routing, inference, findings, risk, alerts, reviews."""

import os

# Before ONNX Runtime is first imported: its wheels report their use to their maker unless this says no, and a hospital's
# network is not to be asked.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
