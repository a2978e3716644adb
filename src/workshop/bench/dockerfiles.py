"""The Dockerfiles that are compared: the article's, those that it is measured against, its heir."""

from __future__ import annotations

from ..paths import DOCKERFILE, VARIANTS

COMPARED_WITH = "the article's"
DOCKERFILES = {
    "one stage": VARIANTS / "one-stage.Dockerfile",
    COMPARED_WITH: DOCKERFILE,
    # The peer: written as uv's documentation describes a build with two stages.
    "uv, two stages": VARIANTS / "uv.Dockerfile",
    "production": VARIANTS / "production.Dockerfile",
}
