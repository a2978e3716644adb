"""Makes image archives for tests: layers as tars, and the forms that hold them."""

import gzip
import hashlib
import io
import json
import tarfile

import zstandard

FILE, FOLDER, SYMLINK, LINK = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE


def member(name, content=b"", kind=FILE, target="", mode=0o644, uid=0, gid=0):
    """A member of a tar, as (TarInfo, bytes)."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode, info.uid, info.gid = kind, target, mode, uid, gid
    info.size = len(content)
    return info, content


def tar(*members, form=tarfile.PAX_FORMAT):
    """A tar of ``members``; a string is an empty file, or a folder if it ends with a slash."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=form) as archive:
        for item in members:
            if isinstance(item, str):
                item = member(item.rstrip("/"), kind=FOLDER if item.endswith("/") else FILE)
            archive.addfile(item[0], io.BytesIO(item[1]))
    return made.getvalue()


def digest(data):
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def as_json(data):
    return json.dumps(data).encode()


def config(layers, **more):
    """An image configuration for ``layers``; ``more`` goes into its own config part."""
    return {
        "architecture": "amd64",
        "os": "linux",
        "config": more,
        "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]},
        "history": [{"created_by": f"RUN step {n}"} for n in range(len(layers))],
    }


def docker_form(*images, tags=()):
    """An archive as Docker wrote it before Engine 25: one folder a layer."""
    files, manifest = {}, []
    for number, layers in enumerate(images):
        name = f"config{number}.json"
        files[name] = as_json(config(layers))
        paths = []
        for layer in layers:
            paths.append(f"{digest(layer).removeprefix('sha256:')}/layer.tar")
            files[paths[-1]] = layer
        manifest.append({"Config": name, "RepoTags": [tags[number]] if tags else None})
        manifest[-1]["Layers"] = paths
    files["manifest.json"] = as_json(manifest)
    return pack(files)


def oci_form(layers, packed="", nested=False, made_config=None):
    """An archive in OCI's form, layers packed with gzip or zstd, the manifest behind an index."""
    squeeze = {"": bytes, "gzip": gzip.compress, "zstd": zstandard.ZstdCompressor().compress}
    files = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}'}

    def blob(data):
        files[f"blobs/{digest(data).replace(':', '/')}"] = data
        return {"digest": digest(data), "size": len(data)}

    manifest = {
        "schemaVersion": 2,
        "config": blob(as_json(made_config or config(layers))),
        "layers": [blob(squeeze[packed](layer)) for layer in layers],
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


def pack(files):
    """A tar of ``files``, by name."""
    return tar(*(member(name, data) for name, data in files.items()))
