"""What a builder prints, made for the tests: events in JSON, with lines of text between."""

import base64
import json

MINUTE = "2026-01-01T10:00:{:02d}.500000000Z"


def one_line(event):
    return [json.dumps(event) + "\n"]


def pretty(event):
    return json.dumps(event, indent=2).splitlines(keepends=True)


def vertex(name, digest="", begun=None, ended=None, **more):
    told = {"digest": digest or name, "name": name, **more}
    if begun is not None:
        told["started"] = MINUTE.format(begun)
    if ended is not None:
        told["completed"] = MINUTE.format(ended)
    return {"vertexes": [told]}


def log(digest, text):
    return {"logs": [{"vertex": digest, "data": base64.b64encode(text.encode()).decode()}]}


def lines_of(*parts, form=one_line):
    """A builder's output: events in JSON, and strings as they are."""
    return [
        line for part in parts for line in (form(part) if isinstance(part, dict) else [f"{part}\n"])
    ]
