"""From findings to a place in the reading order and, if minutes matter, an alert. Pure."""
