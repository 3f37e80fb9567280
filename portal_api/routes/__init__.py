"""HTTP: paths, permissions, status codes. Bodies of a few lines; decisions are in `portal_api.services`."""
