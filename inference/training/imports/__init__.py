"""Public networks that a user has downloaded: ONE FILE = one source. Nothing is fetched from here."""
