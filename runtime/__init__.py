"""What every process needs; one technology per file."""
