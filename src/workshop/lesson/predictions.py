"""What the build cache will do: what a reader predicts, and what happened."""

from __future__ import annotations

from collections.abc import Sequence

from ..build.buildx import Build

NOTHING = "nothing"


def ran(build: Build, *parts: str) -> bool:
    """True if exactly as many steps ran as there are parts, and each holds its part, in order."""
    return len(build.ran) == len(parts) and all(
        part in step for part, step in zip(parts, build.ran, strict=True)
    )


def score(prediction: Sequence[str] | str, build: Build) -> None:
    """Print which steps ran, and how right ``prediction`` was: a part of each, in order.

    ``["nothing"]`` predicts that no step runs; an empty one predicts nothing at all. A text alone
    is a list of one.
    """
    for step in build.ran or [NOTHING]:
        print(f"ran: {step}")
    given = [prediction] if isinstance(prediction, str) else prediction
    given = [part for part in given if part.strip()]
    parts = [part for part in given if part != NOTHING]
    if not given:
        print("You predicted nothing. Fill in the list above, and run the cells again.")
        return
    if ran(build, *parts):
        print("You were right.")
        return
    missed = [step for step in build.ran if not any(part in step for part in parts)]
    wrong = [part for part in parts if not any(part in step for step in build.ran)]
    print("Not quite.")
    for step in missed:
        print(f"  it ran, and you did not say so: {step}")
    for part in wrong:
        print(f"  you said so, and it did not run: {part}")
    if not missed and not wrong:
        print("  these steps ran, each of them once, in the order above")
