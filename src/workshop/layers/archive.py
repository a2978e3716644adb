"""Read an image archive as a stream: what each layer stores.

Two forms, also mixed in one file: Docker's, where manifest.json names the image's
configuration and its layers (docs.docker.com/reference/api/engine, "Export an image"),
and OCI's, where index.json leads to manifests and those to blobs
(github.com/opencontainers/image-spec, image-layout.md). A layer is a tar, plain or
packed with gzip or zstd; what it removes is marked by names that begin with ``.wh.``
(layer.md, "Whiteouts").

The archive is read forward, once. Nothing is unpacked to disk, and of the files only
the few that name packages and users are kept in memory.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import platform
import re
import zlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import zstandard

from ..errors import WorkshopError

# No header, manifest or list of files is that long; no file that long is in an image.
MOST_AT_ONCE = 16 << 20
MOST_IN_A_FILE = 1 << 40

# Files whose text answers a question: which package owns what, and who is who.
_KEPT = re.compile(
    r"var/lib/dpkg/(?:status|status\.d/[^/]+|info/[^/]+\.list)$"
    r"|.*\.dist-info/RECORD$|etc/(?:passwd|group)$"
)
_KINDS = {
    b"0": "file",
    b"\0": "file",
    b"7": "file",
    b"1": "hard link",
    b"2": "symlink",
    b"5": "folder",
}
BLOCK = 512
ZEROS = bytes(BLOCK)


class Entry(NamedTuple):
    """A path that a layer stores. ``size`` in bytes; ``kind`` is one of file, folder,
    hard link, symlink, special. ``target`` is where a link leads."""

    path: str
    kind: str
    size: int
    mode: int
    uid: int
    gid: int
    target: str


@dataclass
class Contents:
    """What one layer's tar says: paths stored, paths ``removed``, folders made ``opaque``.

    ``texts`` are the files kept, by path; ``fingerprints`` the SHA-256 of files asked for.
    """

    entries: list[Entry] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    opaque: list[str] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    fingerprints: dict[str, str] = field(default_factory=dict)


@dataclass
class Archive:
    """An image as its archive has it: the configuration, and the layers, lowest first.

    A layer is None when it was known before and so was passed over.
    """

    config: dict[str, Any]
    layers: list[Contents | None]

    @property
    def diff_ids(self) -> list[str]:
        """The digest of each layer's tar, unpacked."""
        return self.config["rootfs"]["diff_ids"]


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

    def __init__(self, file: Readable, size: int) -> None:
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
            data = self._reader.read(size)
        except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
            raise Malformed(f"it can't be decompressed ({error})") from None
        self._position += len(data)
        return data


def read(
    file: Readable,
    name: str,
    *,
    end: float = math.inf,
    known: Collection[str] = (),
    fingerprint: Collection[str] = (),
) -> Archive:
    """Read the one image in the archive ``file``; ``name`` is for messages.

    ``end`` is the file's size in bytes, if that is known. Layers whose digest is in
    ``known`` are passed over if the archive names them by it. Files whose path is in
    ``fingerprint`` get their SHA-256. Raises WorkshopError for what is no image archive,
    for a damaged or truncated one, for paths that lead out of the image, and for sizes
    that can't be.
    """
    try:
        return _read(file, end, frozenset(known), frozenset(fingerprint))
    except Malformed as error:
        why = str(error)
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        why = (
            "its manifest or configuration is not as the format wants it "
            f"({type(error).__name__}: {error})"
        )
    raise WorkshopError(
        f"{name} can't be read as an image: {why}.",
        "Make the archive anew with `docker save`, or look at the image on the engine.",
    )


def _read(
    file: Readable, end: float, known: frozenset[str], fingerprint: frozenset[str]
) -> Archive:
    documents: dict[str, bytes] = {}
    blobs: dict[str, Contents | Malformed | None] = {}
    links: dict[str, str] = {}
    for member, data in _members(file, 0, end):
        path = _inside(member.path)
        if member.kind == "symlink":
            # Docker before Engine 25 stores a layer that occurs twice as a link.
            folder = path.rpartition("/")[0]
            links[path] = re.sub(r"^[^/]+/\.\./", "", f"{folder}/{member.target}")
        elif member.kind == "file" and _digest(path) in known:
            blobs[path] = None
        elif member.kind == "file":
            file.seek(data)
            head = _exactly(file, min(member.size, BLOCK))
            is_tar = head[257:262] == b"ustar"
            if head[:1] in (b"{", b"[") and not is_tar and member.size <= MOST_AT_ONCE:
                documents[path] = head + _exactly(file, member.size - len(head))
                continue
            try:
                blobs[path] = _layer(file, data, member.size, head, fingerprint)
            except Malformed as error:
                # It matters only if the manifest calls this a layer.
                blobs[path] = error
    config, paths = _manifest(documents)
    layers = []
    for path in paths:
        path = links.get(path, path)
        if path not in blobs:
            raise Malformed(f"the layer {path} is missing")
        found = blobs[path]
        if isinstance(found, Malformed):
            raise Malformed(f"in the layer {path}, {found}")
        layers.append(found)
    if len(layers) != len(config["rootfs"]["diff_ids"]):
        raise Malformed("manifest and configuration count different numbers of layers")
    return Archive(config, layers)


def _layer(
    file: Readable, at: int, size: int, head: bytes, fingerprint: frozenset[str]
) -> Contents:
    """A layer's tar, which may be packed; ``head`` was read of it."""
    packed = _Blob(_Again(head, file), size)
    if head[:2] == b"\x1f\x8b":
        return _contents(_Unpacked(gzip.GzipFile(fileobj=packed)), 0, math.inf, fingerprint)  # type: ignore[arg-type]
    if head[:4] == b"\x28\xb5\x2f\xfd":
        unpacker = zstandard.ZstdDecompressor(max_window_size=1 << 27)
        reader = unpacker.stream_reader(packed, read_across_frames=True)  # type: ignore[arg-type]
        return _contents(_Unpacked(reader), 0, math.inf, fingerprint)
    return _contents(file, at, at + size, fingerprint, head)


def _contents(
    file: Readable, at: int, end: float, fingerprint: frozenset[str], head: bytes = b""
) -> Contents:
    """What the tar between ``at`` and ``end`` says."""
    found = Contents()
    add = found.entries.append
    for member, data in _members(file, at, end, head):
        path = _inside(member.path)
        folder, _, name = path.rpartition("/")
        if name.startswith(".wh."):
            if name == ".wh..wh..opq":
                found.opaque.append(folder)
            elif not name.startswith(".wh..wh."):  # those are notes of an old storage driver
                gone = name.removeprefix(".wh.")
                if gone in ("", ".", ".."):
                    raise Malformed(f"{member.path!r} removes nothing that can be there")
                found.removed.append(f"{folder}/{gone}" if folder else gone)
            continue
        if not path:
            continue  # the root itself
        _, kind, size, mode, uid, gid, target = member
        if kind == "hard link":
            target = _inside(target)
        add(Entry(path, kind, size, mode, uid, gid, target))
        if size and size <= MOST_AT_ONCE and _KEPT.match(path):
            file.seek(data)
            found.texts[path] = _exactly(file, size).decode("utf-8", "replace")
        elif kind == "file" and path in fingerprint:
            file.seek(data)
            found.fingerprints[path] = _sha256(file, size)
    return found


# The tar format: POSIX.1-2017, "pax", "Extended Description"; GNU's additions:
# www.gnu.org/software/tar/manual, "Basic Tar Format". tarfile of the standard library
# takes damaged headers for the end of the archive, and twice the time.


def _members(file: Readable, at: int, end: float, head: bytes = b"") -> Iterator[tuple[Entry, int]]:
    """The members of the tar that begins at ``at`` and does not go beyond ``end``.

    Each one with the place where its bytes begin; its path and target are as they stand
    there. ``head`` is the first block, if that was read already.
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
        if len(block) < BLOCK:
            if block or file.tell() != at:
                raise Malformed("it is cut off")
            return
        if not block[0] and block == ZEROS:
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
            text = _exactly(file, size)
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
            size = int(extra.get("size", size))
            uid = int(extra.get("uid", uid))
            gid = int(extra.get("gid", gid))
            if any(key.startswith("GNU.sparse") for key in extra):
                raise Malformed(f"{name!r} is stored with holes, which no layer is")
            extra = {}
        word = _KINDS.get(kind, "special")
        if kind == b"S":
            raise Malformed(f"{name!r} is stored with holes, which no layer is")
        if word == "file" and name.endswith("/"):
            word = "folder"  # so the oldest tars mark them
        if word in ("hard link", "symlink", "folder"):
            size = 0
        if not 0 <= size <= min(MOST_IN_A_FILE, end - data):
            raise Malformed(f"{name!r} claims a size of {size:,} bytes, more than there can be")
        stored = size if word == "file" else 0
        yield Entry(name, word, stored, mode & 0o7777, uid, gid, target), data
        at = data + (size + BLOCK - 1) // BLOCK * BLOCK


def _exactly(file: Readable, size: int) -> bytes:
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


def _pax(text: bytes) -> dict[str, str]:
    """The records of an extended header: ``LENGTH KEY=VALUE`` and a line feed."""
    found, at = {}, 0
    while at < len(text) and text[at]:
        digits, space, _ = text[at : at + 12].partition(b" ")
        length = int(digits) if digits.isdigit() and space else 0
        record = text[at : at + length]
        key, equals, value = record[len(digits) + 1 : -1].partition(b"=")
        if not equals or record[-1:] != b"\n" or len(record) != length:
            raise Malformed("an extended header is damaged")
        found[key.decode("utf-8", "surrogateescape")] = value.decode("utf-8", "surrogateescape")
        at += length
    return found


def _sha256(file: Readable, size: int) -> str:
    made = hashlib.sha256()
    while size:
        data = _exactly(file, min(size, 1 << 20))
        made.update(data)
        size -= len(data)
    return made.hexdigest()


def _inside(name: str) -> str:
    """A member's name as a path below the root, without a slash in front."""
    if "\0" in name:
        raise Malformed(f"the name {name!r} holds a zero byte")
    if name.startswith(("./", "/")) or "//" in name or "/./" in name or name.endswith("/."):
        name = "/".join(part for part in name.split("/") if part not in ("", "."))
    if ".." in name and ".." in name.split("/"):
        raise Malformed(f"the path {name!r} leads out of the image")
    return name.rstrip("/") if name != "." else ""


def _digest(path: str) -> str:
    """The digest that the path of a blob stands for; empty if it does not."""
    match = re.fullmatch(r"blobs/(\w+)/([0-9a-f]+)", path)
    return f"{match[1]}:{match[2]}" if match else ""


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _manifest(documents: dict[str, bytes]) -> tuple[dict[str, Any], list[str]]:
    """The configuration, and the paths of the layers."""
    if "manifest.json" in documents:
        images = json.loads(documents["manifest.json"])
        found = [(i["Config"], i["Layers"] or []) for i in images]
    elif "index.json" in documents:
        found = []
        for manifest in _manifests(json.loads(documents["index.json"]), documents):
            paths = [_blob(layer["digest"]) for layer in manifest["layers"]]
            found.append((_blob(manifest["config"]["digest"]), paths))
    else:
        raise Malformed("it has no manifest.json and no index.json")
    images = [(json.loads(documents[c]), layers) for c, layers in found if c in documents]
    if not images:
        raise Malformed("its manifest leads to no image")
    # One image for several platforms: the one for this machine.
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    fitting = [i for i in images if i[0].get("architecture") == machine.lower()] or images
    if len(fitting) > 1:
        raise Malformed(f"it holds {len(fitting)} images; save one, as NAME:TAG")
    return fitting[0]


def _manifests(
    index: dict[str, Any], documents: dict[str, bytes], depth: int = 0
) -> Iterator[dict[str, Any]]:
    """The image manifests behind an index, however nested, without attestations."""
    if depth > 5:
        raise Malformed("its index leads to an index, and so on without end")
    for entry in index["manifests"]:
        if "vnd.docker.reference.type" in (entry.get("annotations") or {}):
            continue
        path = _blob(entry["digest"])
        if path not in documents:
            continue  # a platform that was not saved
        document = json.loads(documents[path])
        if "manifests" in document:
            yield from _manifests(document, documents, depth + 1)
        else:
            yield document
