"""Reads and writes of the portal, one query each; no decisions."""
