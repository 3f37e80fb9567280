"""Radstream against named peers and limits, side by side in one run."""
