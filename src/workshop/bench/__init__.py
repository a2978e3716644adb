"""Compare Dockerfiles for the same project."""
