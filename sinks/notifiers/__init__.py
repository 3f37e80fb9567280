"""How people are told: one file, one channel."""
