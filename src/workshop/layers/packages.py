"""Which package a file of an image came with.

Debian's packages list their files in /var/lib/dpkg/info/NAME.list (dpkg-query(1)),
Python's in NAME.dist-info/RECORD (packaging.python.org, "Recording installed projects").
"""

from __future__ import annotations

import contextlib
import csv
import functools
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from .image import Image

_DIST_INFO = re.compile(r"(?P<site>.*)/(?P<name>[^/]+?)-(?P<version>[^/-]+)\.dist-info/RECORD")
_DPKG_LIST = re.compile(r"var/lib/dpkg/info/(?P<name>[^/:]+)(?::[^/]+)?\.list")
_BYTECODE = re.compile(r"(?P<folder>.*)/__pycache__/(?P<module>[^/.]+)\.[^/]*\.pyc")


@dataclass
class Packages:
    """The packages of an image: ``versions`` by name, and who owns which path.

    Names of Debian packages and of Python projects can be equal; ``kinds`` tells which
    one a name is, ``apt`` or ``pip``, and the second of two gets its kind behind its name.
    """

    versions: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)

    def owner(self, path: str) -> str:
        """The package that ``path`` came with; empty if none says so."""
        found = self.owners.get(path, "")
        if not found and (match := _BYTECODE.fullmatch(path)):
            # Compiled after the installation: it belongs to its source.
            found = self.owners.get(f"{match['folder']}/{match['module']}.py", "")
        return found

    def _add(self, name: str, kind: str, version: str) -> str:
        if self.kinds.get(name, kind) != kind:
            name = f"{name} ({kind})"
        self.kinds[name] = kind
        self.versions[name] = version
        return name


def of_image(image: Image) -> Packages:
    """What the package managers noted in the image's final file system."""
    found = Packages()
    versions = _dpkg_versions(image)

    @functools.cache
    def real(folder: str) -> str:
        return image.resolve(folder)

    for path, text in sorted(image.texts.items()):
        if match := _DPKG_LIST.fullmatch(path):
            name = found._add(match["name"], "apt", versions.get(match["name"], ""))
            for line in text.splitlines():
                folder, _, file = line.strip("/").rpartition("/")
                found.owners.setdefault(posixpath.join(real(folder), file), name)
        elif match := _DIST_INFO.fullmatch(path):
            name = found._add(match["name"].replace("_", "-").lower(), "pip", match["version"])
            for row in _rows(text):
                owned = posixpath.normpath(posixpath.join("/", match["site"], row[0]))
                found.owners[owned.strip("/")] = name
    return found


def _rows(text: str) -> Iterator[list[str]]:
    """The rows of a RECORD, up to one that is no CSV."""
    with contextlib.suppress(csv.Error):
        yield from filter(None, csv.reader(text.splitlines()))


def _dpkg_versions(image: Image) -> dict[str, str]:
    found = {}
    for path, text in image.texts.items():
        if path.startswith("var/lib/dpkg/status"):
            for paragraph in text.split("\n\n"):
                name = re.search(r"^Package: (.*)$", paragraph, flags=re.MULTILINE)
                version = re.search(r"^Version: (.*)$", paragraph, flags=re.MULTILINE)
                if name and version:
                    found[name[1]] = version[1]
    return found
