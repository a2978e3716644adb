"""Get a Docker engine that works, and know what on it is ours."""
