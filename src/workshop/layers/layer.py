"""Read one layer: the paths that it stores, and its whiteouts.

A layer is a tar, plain or packed with gzip or zstd. What it removes from the layers below
is marked by a *whiteout*: ``.wh.NAME`` removes NAME, and ``.wh..wh..opq`` makes its folder
*opaque*, so that nothing of the layers below is seen in it
(github.com/opencontainers/image-spec, layer.md, "Whiteouts"). What the marks do to the
other layers is in image.py.

Of the files only the few that name packages and users are kept in memory.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import re
import zlib
from dataclasses import dataclass, field
from typing import Any

import zstandard

from .tar import MOST_AT_ONCE, Entry, Malformed, Readable, exactly, inside, members

# Of all layers of an archive together: members, and bytes of paths and of files kept.
MOST_MEMBERS = 3_000_000
MOST_TEXT = 256 << 20

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"

_SKIPPABLE = bytes(range(0x50, 0x60))
# Files whose text answers a question: which package owns what, and who is who.
_KEPT = re.compile(
    r"var/lib/dpkg/(?:status|status\.d/[^/]+|info/[^/]+\.list)$"
    r"|.*\.dist-info/RECORD$|etc/(?:passwd|group)$"
)


@dataclass
class Contents:
    """What one layer's tar says: paths stored, paths ``removed``, folders made ``opaque``.

    ``texts`` are the files kept, by path; ``fingerprints`` the SHA-256 of files asked for.
    ``blobs`` are the digests of the packed forms in which archives hold this layer.
    """

    entries: list[Entry] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    opaque: list[str] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    fingerprints: dict[str, str] = field(default_factory=dict)
    blobs: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of the files that it stores; a file with several names counts once."""
        return sum(entry.size for entry in self.entries)

    @property
    def files(self) -> int:
        """How many paths it stores that are no folders."""
        return sum(entry.kind != "folder" for entry in self.entries)


class LayerReader:
    """Reads the layers of one archive; all that is kept of them has one bound.

    Files whose path is in ``fingerprint`` get their SHA-256.
    """

    def __init__(self, fingerprint: frozenset[str] = frozenset()) -> None:
        self._fingerprint = fingerprint
        self._members = 0
        self._text = 0

    def read(self, file: Readable, at: int, size: int, head: bytes) -> Contents:
        """The layer between ``at`` and ``at + size``, of which ``head`` was read.

        Raises Malformed for what is no layer or can't be one.
        """
        packed: Any = _Blob(_Again(head, file), size)
        if head[:2] == b"\x1f\x8b":
            unpacked = gzip.GzipFile(fileobj=packed)
            return self._contents(_Unpacked(unpacked), 0, math.inf)
        # A frame, or one that is to be skipped before it (RFC 8878, 3.1).
        is_skippable = head[1:4] == b"\x2a\x4d\x18" and head[:1] in _SKIPPABLE
        if head[:4] == b"\x28\xb5\x2f\xfd" or is_skippable:
            unpacker = zstandard.ZstdDecompressor(max_window_size=1 << 27)
            reader = unpacker.stream_reader(packed, read_across_frames=True)
            return self._contents(_Unpacked(reader), 0, math.inf)
        return self._contents(file, at, at + size, head)

    def _contents(self, file: Readable, at: int, end: float, head: bytes = b"") -> Contents:
        """What the tar between ``at`` and ``end`` says."""
        found = Contents()
        add = found.entries.append
        for member, data in members(file, at, end, head):
            path = inside(member.path)
            _, kind, size, mode, uid, gid, target = member
            self._members += 1
            self._text += len(path) + len(target)
            if self._members > MOST_MEMBERS or self._text > MOST_TEXT:
                raise Malformed(
                    f"it names more than {MOST_MEMBERS:,} files, or its lists of files and "
                    f"packages are larger than {MOST_TEXT >> 20} MiB"
                )
            folder, _, name = path.rpartition("/")
            if name.startswith(_WHITEOUT):
                _whiteout(found, folder, name)
                continue
            if not path:
                continue  # the root itself
            if kind == "hard link":
                target = inside(target)
            add(Entry(path, kind, size, mode, uid, gid, target))
            if size and size <= MOST_AT_ONCE and _KEPT.match(path):
                self._text += size
                file.seek(data)
                found.texts[path] = exactly(file, size).decode("utf-8", "replace")
            elif kind == "file" and path in self._fingerprint:
                file.seek(data)
                found.fingerprints[path] = _sha256(file, size)
        return found


def _whiteout(found: Contents, folder: str, name: str) -> None:
    """Note what the whiteout ``name`` in ``folder`` removes."""
    if name == _OPAQUE:
        found.opaque.append(folder)
    elif not name.startswith(".wh..wh."):  # those are notes of an old storage driver
        gone = name.removeprefix(_WHITEOUT)
        if gone in ("", ".", ".."):
            raise Malformed(f"the whiteout {name!r} removes nothing that can be there")
        found.removed.append(f"{folder}/{gone}" if folder else gone)


class _Again:
    """A file of which ``head`` was read, to be read once more from there."""

    def __init__(self, head: bytes, file: Readable) -> None:
        self._head = head
        self._file = file

    def read(self, size: int) -> bytes:
        data, self._head = self._head[:size], self._head[size:]
        return data + self._file.read(size - len(data)) if len(data) < size else data


class _Blob:
    """The bytes of one member, for a decompressor to read."""

    def __init__(self, file: _Again, size: int) -> None:
        self._file = file
        self._left = size

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(data)
        return data


class _Unpacked:
    """What a decompressor gives, as a file that moves forward."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        self._position = 0

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> None:
        while self._position < position:
            if not self._take(min(position - self._position, 1 << 20)):
                return

    def read(self, size: int) -> bytes:
        data = self._take(size)
        while len(data) < size and (more := self._take(size - len(data))):
            data += more
        return data

    def _take(self, size: int) -> bytes:
        try:
            data: bytes = self._reader.read(size)
        except (gzip.BadGzipFile, EOFError, zlib.error, zstandard.ZstdError) as error:
            raise Malformed(f"it can't be decompressed ({error})") from None
        self._position += len(data)
        return data


def _sha256(file: Readable, size: int) -> str:
    made = hashlib.sha256()
    while size:
        data = exactly(file, min(size, 1 << 20))
        made.update(data)
        size -= len(data)
    return made.hexdigest()
