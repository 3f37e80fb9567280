"""Gateways: one file each. `ingest` is the one use case they share."""
