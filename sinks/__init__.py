"""Where results go: one file, one destination."""
