"""The ports on SQLite and a local folder: one machine, the same at-least-once contract as the real engines."""
