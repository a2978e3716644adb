"""Read a tar forward, once: its members, and where their bytes begin.

The formats: POSIX.1-2017, "pax", "Extended Description"; GNU's additions:
www.gnu.org/software/tar/manual, "Basic Tar Format".

Why not ``tarfile`` of the standard library: it takes a damaged header for the end of the
archive, so that half an image would pass for a whole one. Made to refuse damage, it was
measured to take nine times as long as this reader.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Protocol

# No header is that long, no file that long is in an image, no path that long in Linux.
MOST_AT_ONCE = 16 << 20
MOST_IN_A_FILE = 1 << 40
MOST_IN_A_PATH = 4096

BLOCK = 512
_ZEROS = bytes(BLOCK)
_RECORDS = (b"path", b"linkpath", b"size", b"uid", b"gid")
_KINDS = {
    b"0": "file",
    b"\0": "file",
    b"7": "file",
    b"1": "hard link",
    b"2": "symlink",
    b"5": "folder",
}


class Entry(NamedTuple):
    """A path that a tar stores. ``size`` in bytes; ``kind`` is one of file, folder,
    hard link, symlink, special. ``target`` is where a link leads."""

    path: str
    kind: str
    size: int
    mode: int
    uid: int
    gid: int
    target: str


class Malformed(Exception):
    """Something in an archive that can't be."""


class Readable(Protocol):
    """A file that is only ever moved forward."""

    def read(self, size: int, /) -> bytes: ...
    def tell(self) -> int: ...
    def seek(self, position: int, /) -> Any: ...


class Stream:
    """Chunks of bytes as a file that moves forward."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._chunk = b""
        self._at = 0  # in the chunk
        self._before = 0  # bytes of the chunks that are done

    def tell(self) -> int:
        return self._before + self._at

    def seek(self, position: int) -> None:
        """Move forward; at most to the end."""
        self._at = position - self._before
        while self._at > len(self._chunk):
            if not self._next():
                self._at = len(self._chunk)
                return

    def read(self, size: int) -> bytes:
        """``size`` bytes, fewer only at the end."""
        start, self._at = self._at, self._at + size
        if self._at <= len(self._chunk):
            return self._chunk[start : self._at]
        parts = [self._chunk[start:]]
        while self._at > len(self._chunk):
            if not self._next():
                self._at = len(self._chunk)
                break
            parts.append(self._chunk[: self._at])
        return b"".join(parts)

    def _next(self) -> bool:
        """Go to the next chunk; what is left of ``_at`` counts from its start."""
        chunk = next(self._chunks, b"")
        if not chunk:
            return False
        self._before += len(self._chunk)
        self._at -= len(self._chunk)
        self._chunk = chunk
        return True


def members(file: Readable, at: int, end: float, head: bytes = b"") -> Iterator[tuple[Entry, int]]:
    """The members of the tar that begins at ``at`` and does not go beyond ``end``.

    Each one with the place where its bytes begin; its path and target are as they stand
    there. ``head`` is the first block, if that was read already. Raises Malformed.
    """
    start = at
    extra: dict[str, str] = {}
    always: dict[str, str] = {}
    while True:
        if head:
            block, head = head, b""
        else:
            if at >= end:
                return
            file.seek(at)
            block = file.read(BLOCK)
        if at == start and block[:2] == b"\x1f\x8b":
            raise Malformed("it is packed; `gunzip` unpacks it")
        if len(block) < BLOCK:
            if block or file.tell() != at:
                raise Malformed("it is cut off")
            return
        if not block[0] and block == _ZEROS:
            return
        kind = block[156:157]
        try:
            mode = int(block[100:107], 8)
            uid = int(block[108:115], 8)
            gid = int(block[116:123], 8)
            size = int(block[124:135], 8)
            told = int(block[148:154], 8)
        except ValueError:
            if block[257:262] != b"ustar" and at == start:
                raise Malformed("it is no tar archive") from None
            mode, uid, gid = (_number(block[a : a + 8]) for a in (100, 108, 116))
            size = _number(block[124:136])
            told = _number(block[148:156])
        if sum(block) - sum(block[148:156]) + 256 != told:
            raise Malformed("a header is damaged: its checksum is wrong")
        data = at + BLOCK
        if kind in b"xgLK":
            if not 0 <= size <= MOST_AT_ONCE:
                raise Malformed(f"a header claims {size:,} bytes for itself")
            file.seek(data)
            text = exactly(file, size)
            if kind == b"x":
                extra.update(_pax(text))
            elif kind == b"g":
                always.update(_pax(text))
            else:
                extra["path" if kind == b"L" else "linkpath"] = _text(text)
            at = data + (size + BLOCK - 1) // BLOCK * BLOCK
            continue
        name = _text(block[:100])
        if block[345] and block[257:263] == b"ustar\0":
            name = f"{_text(block[345:500])}/{name}"
        target = _text(block[157:257]) if block[157] else ""
        if extra or always:
            extra = {**always, **extra}
            name = extra.get("path", name)
            target = extra.get("linkpath", target)
            size = _decimal(extra, "size", size)
            uid = _decimal(extra, "uid", uid)
            gid = _decimal(extra, "gid", gid)
            if any(key.startswith("GNU.sparse") for key in extra):
                kind = b"S"
            extra = {}
        if len(name) > MOST_IN_A_PATH or len(target) > MOST_IN_A_PATH:
            raise Malformed(f"a path is longer than {MOST_IN_A_PATH:,} characters")
        word = _KINDS.get(kind, "special")
        if kind == b"S":
            raise Malformed(f"{name!r} is stored with holes, and such layers can't be read here")
        if word == "file" and name.endswith("/"):
            word = "folder"  # so the oldest tars mark them
        if word in ("hard link", "symlink", "folder"):
            size = 0
        if not 0 <= size <= min(MOST_IN_A_FILE, end - data):
            raise Malformed(f"{name!r} claims a size of {size:,} bytes, more than there can be")
        stored = size if word == "file" else 0
        yield Entry(name, word, stored, mode & 0o7777, uid, gid, target), data
        at = data + (size + BLOCK - 1) // BLOCK * BLOCK


def exactly(file: Readable, size: int) -> bytes:
    """The next ``size`` bytes. Raises Malformed when there are fewer."""
    data = file.read(size)
    if len(data) < size:
        raise Malformed("it is cut off")
    return data


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _number(field: bytes) -> int:
    """A number of a header: octal digits, or from the first bit on binary."""
    if field[0] & 0x80:
        return int.from_bytes(field, "big", signed=True) & ((1 << (8 * len(field) - 1)) - 1)
    digits = field.partition(b"\0")[0].strip()
    if digits and not re.fullmatch(rb"[0-7]+", digits):
        raise Malformed("a header is damaged: it holds no number where one has to be")
    return int(digits or b"0", 8)


def _decimal(records: dict[str, str], key: str, otherwise: int) -> int:
    """A number of an extended header."""
    digits = records.get(key)
    if digits is None:
        return otherwise
    if not re.fullmatch(r"-?[0-9]{1,20}", digits):
        raise Malformed(f"an extended header is damaged: its {key} is no number")
    return int(digits)


def _pax(text: bytes) -> dict[str, str]:
    """The records of an extended header that matter: ``LENGTH KEY=VALUE`` and a line feed."""
    found: dict[str, str] = {}
    at = 0
    while at < len(text) and text[at]:
        digits, space, _ = text[at : at + 12].partition(b" ")
        length = int(digits) if digits.isdigit() and space else 0
        record = text[at : at + length]
        key, equals, value = record[len(digits) + 1 : -1].partition(b"=")
        if not equals or record[-1:] != b"\n" or len(record) != length:
            raise Malformed("an extended header is damaged")
        if key in _RECORDS or key.startswith(b"GNU.sparse"):
            found[key.decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
        at += length
    return found


def inside(name: str) -> str:
    """A member's name as a path below the root, without a slash in front."""
    if "\0" in name:
        raise Malformed(f"the name {name!r} holds a zero byte")
    if name.startswith(("./", "/")) or "//" in name or "/./" in name or name.endswith("/."):
        name = "/".join(part for part in name.split("/") if part not in ("", "."))
    if ".." in name and ".." in name.split("/"):
        raise Malformed(f"the path {name!r} leads out of the image")
    return name.rstrip("/") if name != "." else ""
