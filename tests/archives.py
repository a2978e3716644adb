"""Makes image archives for tests: layers as tars, and the forms that hold them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import zstandard

FILE, FOLDER, SYMLINK, LINK = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE

Member = tuple[tarfile.TarInfo, bytes]

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


def member(
    name: str,
    content: bytes = b"",
    kind: bytes = FILE,
    target: str = "",
    mode: int = 0o644,
    uid: int = 0,
    gid: int = 0,
) -> Member:
    """A member of a tar, as (TarInfo, bytes)."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode, info.uid, info.gid = kind, target, mode, uid, gid
    info.size = len(content)
    return info, content


def tar(*members: Member | str, form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar of ``members``; a string is an empty file, or a folder if it ends with a slash."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=form) as archive:
        for item in members:
            if isinstance(item, str):
                item = member(item.rstrip("/"), kind=FOLDER if item.endswith("/") else FILE)
            archive.addfile(item[0], io.BytesIO(item[1]))
    return made.getvalue()


def digest(data: bytes) -> str:
    """The digest of ``data``, as manifests write it."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def as_json(data: object) -> bytes:
    """``data`` as a document of an archive."""
    return json.dumps(data).encode()


def config(layers: Sequence[bytes], **more: Any) -> dict[str, Any]:
    """An image configuration for ``layers``; ``more`` goes into its own config part."""
    return {
        "architecture": "amd64",
        "os": "linux",
        "config": more,
        "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]},
        "history": [{"created_by": f"RUN step {n}"} for n in range(len(layers))],
    }


def docker_form(*images: Sequence[bytes], tags: Sequence[str] = ()) -> bytes:
    """An archive as Docker wrote it before Engine 25: one folder a layer."""
    files, manifest = {}, []
    for number, layers in enumerate(images):
        name = f"config{number}.json"
        files[name] = as_json(config(layers))
        paths = []
        for layer in layers:
            paths.append(f"{digest(layer).removeprefix('sha256:')}/layer.tar")
            files[paths[-1]] = layer
        tag = [tags[number]] if tags else None
        manifest.append({"Config": name, "RepoTags": tag, "Layers": paths})
    files["manifest.json"] = as_json(manifest)
    return pack(files)


def oci_form(
    layers: Sequence[bytes],
    packed: str | Sequence[str] = "",
    nested: bool = False,
    made_config: object = None,
) -> bytes:
    """An archive in OCI's form, the manifest behind an index if it is ``nested``.

    ``packed`` says how layers are packed, all or each one: gzip, zstd, or not at all.
    """
    files = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}'}
    how = [packed] * len(layers) if isinstance(packed, str) else packed

    def blob(data: bytes) -> dict[str, Any]:
        files[f"blobs/{digest(data).replace(':', '/')}"] = data
        return {"digest": digest(data), "size": len(data)}

    manifest = {
        "schemaVersion": 2,
        "config": blob(as_json(config(layers) if made_config is None else made_config)),
        "layers": [blob(PACKERS[name](layer)) for layer, name in zip(layers, how, strict=True)],
    }
    entries = [blob(as_json(manifest))]
    if nested:
        attestation = blob(as_json({"schemaVersion": 2, "layers": []}))
        attestation["annotations"] = {"vnd.docker.reference.type": "attestation-manifest"}
        absent = {"digest": digest(b"a platform that was not saved"), "size": 1}
        index = {"schemaVersion": 2, "manifests": [attestation, absent, *entries]}
        entries = [blob(as_json(index))]
    files["index.json"] = as_json({"schemaVersion": 2, "manifests": entries})
    return pack(files)


def pack(files: Mapping[str, bytes]) -> bytes:
    """A tar of ``files``, by name."""
    return tar(*(member(name, data) for name, data in files.items()))
