"""Templates, style, scripts, and the pure functions that turn values into words."""
