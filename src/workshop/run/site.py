"""Visit the site that a container serves, as a browser does."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import requests

from ..engine import client
from ..errors import WorkshopError

READY_S = 60.0
ANSWER_S = 30.0


class Site:
    """A site on a port that a container publishes; cookies are kept between the requests.

    The address is that of the engine: 127.0.0.1, where it runs on this machine.
    """

    def __init__(self, port: int | str) -> None:
        self.port = port
        self.url = f"http://{client.address()}:{port}"
        self.http = requests.Session()
        # A company's proxy has no way to this machine's own ports.
        self.http.trust_env = False
        # Django answers under the name localhost, wherever the engine is.
        if client.address() != client.LOOPBACK:
            self.http.headers["Host"] = f"localhost:{port}"

    def answers(self) -> bool:
        """True when the site answers HTTP at all, whatever the status."""
        try:
            self.http.get(self.url, timeout=ANSWER_S, allow_redirects=False)
        except requests.RequestException:
            return False
        return True

    def wait(self) -> Site:
        """Wait until it answers. Raises WorkshopError after READY_S seconds."""
        deadline = time.monotonic() + READY_S
        while not self.answers():
            if time.monotonic() > deadline:
                raise WorkshopError(
                    f"Nothing answers at {self.url} within {READY_S:.0f} seconds.",
                    "`docker ps --all` shows whether the container runs, `docker logs NAME` "
                    "what it said.",
                )
            time.sleep(0.1)
        return self

    def get(self, path: str = "/", **options: Any) -> requests.Response:
        """Fetch ``path``; ``options`` as of requests.get."""
        return self.http.get(self.url + path, timeout=30, **options)

    def post(self, path: str, data: Mapping[str, str], **options: Any) -> requests.Response:
        """Send a Django form: fetches ``path`` first, for the CSRF token of its cookie."""
        self.get(path)
        token = {"csrfmiddlewaretoken": self.http.cookies.get("csrftoken", "")}
        return self.http.post(self.url + path, data={**data, **token}, timeout=30, **options)

    def __repr__(self) -> str:
        return self.url


class Watch:
    """Clients that ask again and again, from now until ``stop``.

    One fetches each of ``paths``. One sends each of ``forms``: by the path, an iterator that has
    one form more whenever it is asked.
    """

    def __init__(
        self,
        site: Site,
        *paths: str,
        forms: Mapping[str, Iterator[Mapping[str, str]]] | None = None,
        every: float = 0.1,
    ) -> None:
        self._site, self._every = site, every
        self._start, self._end = time.monotonic(), threading.Event()
        asks = {path: partial(self._get, path) for path in paths}
        for path, data in (forms or {}).items():
            asks[f"POST {path}"] = partial(self._post, Site(site.port), path, data)
        self._seen: dict[str, list[Counter[str]]] = {name: [Counter()] for name in asks}
        self._threads = [
            threading.Thread(target=self._ask, args=(self._seen[name], ask), daemon=True)
            for name, ask in asks.items()
        ]
        for thread in self._threads:
            thread.start()

    def _get(self, path: str) -> requests.Response:
        # A connection of its own each time, as of many visitors.
        return requests.get(
            self._site.url + path,
            headers=self._site.http.headers,
            proxies={"http": ""},
            timeout=30,
        )

    def _post(
        self, visitor: Site, path: str, forms: Iterator[Mapping[str, str]]
    ) -> requests.Response:
        return visitor.post(path, next(forms), allow_redirects=False)

    def _ask(self, seen: list[Counter[str]], ask: Callable[[], requests.Response]) -> None:
        while not self._end.is_set():
            second = int(time.monotonic() - self._start)
            try:
                status = str(ask().status_code)
            except requests.RequestException:
                status = "no answer"
            seen += [Counter() for _ in range(second + 1 - len(seen))]
            seen[second][status] += 1
            self._end.wait(self._every)

    def stop(self) -> dict[str, list[Counter[str]]]:
        """For each path, and each form as "POST /path/", a Counter for each second.

        It counts how often which status came, or "no answer". A form that was accepted has the
        status of Django's redirect, 302.
        """
        self._end.set()
        for thread in self._threads:
            thread.join()
        return self._seen
