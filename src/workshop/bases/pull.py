"""Pull a base image from the official registry, or from the mirror that WORKSHOP_REGISTRY names."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import docker
from docker.models.images import Image

from ..engine import client, error_texts
from ..errors import WorkshopError
from ..paths import state_folder, write_whole
from ..show import console
from ..show.console import say

REGISTRY_VARIABLE = "WORKSHOP_REGISTRY"
SILENCE_S = 60.0


class OutOfReach(WorkshopError):
    """The registry can't be talked to, so a stand-in may take its image's place."""

    certificate = False


def on_engine(name: str) -> Image | None:
    """The image that the engine has under this name, whatever its origin."""
    try:
        return client.connect().images.get(name)
    except docker.errors.ImageNotFound:
        return None


def pull(name: str) -> None:
    """Pull ``name``, from the mirror if one is named, in that case under its official name.

    Raises OutOfReach or WorkshopError.
    """
    repository, _, tag = name.rpartition(":")
    mirror = os.environ.get(REGISTRY_VARIABLE, "").split("://")[-1].strip("/")
    source = f"{mirror}/library/{repository}" if mirror else repository
    with (
        (state_folder() / "pull.log").open("a", encoding="utf-8") as log,
        console.step(f"docker pull {source}:{tag}"),
    ):
        try:
            _follow(_events(source, tag), log)
        except OSError as error:
            log.write(f"{error}\n")
            raise pull_problem(f"{source}:{tag}", mirror, str(error)) from None
    if mirror:
        with contextlib.suppress(docker.errors.NotFound):  # somebody else has pulled it, too
            client.connect().api.tag(f"{source}:{tag}", repository, tag)
            client.connect().api.remove_image(f"{source}:{tag}")


def _events(source: str, tag: str) -> Iterator[dict[str, Any]]:
    """The engine's reports on a pull, as they come.

    Read in a thread of their own: docker-py waits for the next one without end.
    Raises OSError with the engine's words, or TimeoutError after 60 seconds without one.
    """
    engine = client.open_client(client.in_use()).api
    reports: queue.Queue[dict[str, Any] | OSError | None] = queue.Queue()

    def read() -> None:
        try:
            for report in engine.pull(source, tag=tag, stream=True, decode=True):
                reports.put(report)
            reports.put(None)
        except Exception as error:  # of docker-py, requests or urllib3: the text says it all
            reports.put(OSError(str(getattr(error, "explanation", None) or error)))

    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            report = reports.get(timeout=SILENCE_S)
        except queue.Empty:
            raise TimeoutError(f"timeout: no report for {SILENCE_S:.0f} seconds") from None
        if report is None:
            engine.close()
            return
        if isinstance(report, OSError):
            raise report
        yield report


def _follow(events: Iterator[dict[str, Any]], log: TextIO) -> None:
    """Log a pull's reports and show its progress every 15 seconds; raise its error."""
    start = last_said = time.monotonic()
    layers: dict[str, tuple[int, int]] = {}
    for event in events:
        if "error" in event:
            raise OSError(event["error"])
        detail = event.get("progressDetail") or {}
        if not detail:
            log.write(f"{event.get('id', '')} {event.get('status', '')}\n")
        elif event.get("status") == "Downloading" and "total" in detail:
            layers[event["id"]] = (detail["current"], detail["total"])
        if time.monotonic() - last_said >= console.HEARTBEAT_S:
            last_said = time.monotonic()
            done = sum(current for current, _ in layers.values())
            total = sum(size for _, size in layers.values())
            say(f"  {last_said - start:4.0f} s  {done / 1e6:.0f} of {total / 1e6:.0f} MB")


def pull_problem(reference: str, mirror: str, text: str) -> WorkshopError:
    """What the engine's ``text`` about a failed pull means to a reader."""
    cause = error_texts.find(
        "pull",
        text,
        registry=f"The registry {mirror}" if mirror else "The official registry",
        reference=reference,
        mirror=f" and {REGISTRY_VARIABLE}={mirror}"
        if mirror
        else f", or name a mirror that you can reach in {REGISTRY_VARIABLE}",
    )
    if cause is None:
        return WorkshopError(
            f"docker pull {reference} failed: {text}",
            "Run the same command in a terminal to look closer.",
        )
    # What keeps people from the official registry is usually a proxy; of a mirror it is a no.
    if not cause.kind or (cause.kind == "forbidden" and mirror):
        return WorkshopError(cause.what, cause.fix)
    problem = OutOfReach(cause.what, cause.fix)
    problem.certificate = cause.kind == "certificate"
    return problem


def pulled() -> dict[str, str]:
    """Name and id of each image that this tutorial pulled to the engine in use."""
    return _everything().get(_engine_id(), {})


def remember(images: dict[str, str]) -> None:
    """Keep ``images``, as ``pulled`` gives them, for the engine in use."""
    everything = {**_everything(), _engine_id(): images}
    kept = {engine_id: names for engine_id, names in everything.items() if names}
    write_whole(_record(), json.dumps(kept, indent=2) + "\n")


def _everything() -> dict[str, dict[str, str]]:
    try:
        return dict(json.loads(_record().read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _record() -> Path:
    return state_folder() / "pulled.json"


def _engine_id() -> str:
    return str(client.connect().info()["ID"])
