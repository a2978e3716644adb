"""What a builder prints, made for the tests: events in JSON, with lines of text between."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

Event = dict[str, Any]

MINUTE = "2026-01-01T10:00:{:02d}.500000000Z"


def one_line(event: Event) -> list[str]:
    return [json.dumps(event) + "\n"]


def pretty(event: Event) -> list[str]:
    return json.dumps(event, indent=2).splitlines(keepends=True)


def vertex(
    name: str, digest: str = "", begun: int | None = None, ended: int | None = None, **more: Any
) -> Event:
    told: Event = {"digest": digest or name, "name": name, **more}
    if begun is not None:
        told["started"] = MINUTE.format(begun)
    if ended is not None:
        told["completed"] = MINUTE.format(ended)
    return {"vertexes": [told]}


def log(digest: str, text: str) -> Event:
    return {"logs": [{"vertex": digest, "data": base64.b64encode(text.encode()).decode()}]}


def lines_of(*parts: Event | str, form: Callable[[Event], list[str]] = one_line) -> list[str]:
    """A builder's output: events in JSON, and strings as they are."""
    return [
        line for part in parts for line in (form(part) if isinstance(part, dict) else [f"{part}\n"])
    ]
