"""The Dockerfiles that are compared: the article's, its peers, its heirs and its variations."""

from __future__ import annotations

from ..paths import DOCKERFILE, VARIANTS

COMPARED_WITH = "the article's"
DOCKERFILES = {
    "one stage": VARIANTS / "one-stage.Dockerfile",
    COMPARED_WITH: DOCKERFILE,
    # The peer: written as uv's documentation describes a build with two stages.
    "uv, two stages": VARIANTS / "uv.Dockerfile",
    "production": VARIANTS / "production.Dockerfile",
    "smallest": VARIANTS / "smallest.Dockerfile",
}
# What people change in the article's file. Only their builds are measured.
VARIATIONS = {
    COMPARED_WITH: DOCKERFILE,
    "pip": VARIANTS / "pip.Dockerfile",
    "Poetry": VARIANTS / "poetry.Dockerfile",
    "hashes": VARIANTS / "hashes.Dockerfile",
    "no PostgreSQL": VARIANTS / "sqlite.Dockerfile",
    "one argument": VARIANTS / "python-version.Dockerfile",
}
