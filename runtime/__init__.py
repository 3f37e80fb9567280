"""What every process needs; one technology per file."""

VERSION = "0.1.0"
"""Version of Radstream, as every event's envelope names it."""
