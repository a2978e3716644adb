"""What should not be in an image: rules, and what they find.

The rules go by names and modes. They say what to look at, not what is wrong: a base
image brings setuid programs and Python's headers, and there may be reasons for both.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from .image import Image
from .tar import Entry

_COMPILER = re.compile(
    r"(?P<place>(?:.*/)?s?bin)/(?:[\w.]+-linux-\w+-)?(?:gcc|g\+\+|cc|c\+\+|cpp|gfortran|clang"
    r"|clang\+\+|ld|ld\.(?:bfd|gold|lld)|as|make|gmake|cmake|ninja|rustc|cargo|go)(?:-[\d.]+)?"
    r"|(?P<tree>usr/(?:lib|libexec)/gcc)/.*"
)
_HEADER = re.compile(r"(?P<place>(?:.*/)?include)/.*\.(?:h|hh|hpp|hxx|inc)")
_STATIC = re.compile(r"(?P<place>.*)/[^/]+\.a")
_CACHE = re.compile(
    r"(?P<place>var/lib/apt/lists|var/cache/(?:apt|yum|dnf|apk)|(?:.*/)?\.cache|(?:.*/)?\.npm"
    r"|(?:.*/)?\.(?:pytest|ruff|mypy)_cache)/(?!lock$|.*/lock$).+"
)
_GIT = re.compile(r"(?P<place>(?:.*/)?\.git)/.+")
_SECRET_FILE = re.compile(
    r"(?:.*/)?(?:\.env(?:\.(?!example|sample|template|dist)[\w.-]+)?|\.envrc|\.envs/.+|\.netrc|\.pypirc|\.pgpass"
    r"|id_(?:rsa|dsa|ecdsa|ed25519)|\.aws/credentials|\.docker/config\.json)"
    r"|(?!usr/|etc/ssl/certs/).*\.(?:key|p12|pfx)"
)
_PLACES = {
    "compilers": _COMPILER,
    "headers": _HEADER,
    "static libraries": _STATIC,
    "caches": _CACHE,
    ".git": _GIT,
}

_WORD = (
    r"(?:SECRET|PASSWORD|PASSWD|TOKEN|CREDENTIALS?|(?:API|ACCESS|PRIVATE|SIGNING|ENCRYPTION)_?KEY)"
)
# NAME=value, in the shell, in ENV and among build arguments; a reference is no value.
# No name is endless, because looking for one in a long word would be, too.
_ASSIGNED = re.compile(
    rf"(?P<name>\b\w{{0,80}}{_WORD}\w{{0,80}})=(?P<value>\"[^\"]+\"|'[^']+'|[^\s\"'$][^\s\"']*)",
    re.IGNORECASE,
)
_KNOWN_FORMS = re.compile(
    r"(?P<url>\b[a-z][a-z+.-]*://[^\s:/@]*:[^\s@/$]+@[^\s/]+)"
    r"|(?P<aws>\bAKIA[0-9A-Z]{16}\b)|(?P<github>\bgh[pousr]_[A-Za-z0-9]{36,}\b)"
    r"|(?P<pem>-----BEGIN [A-Z ]*PRIVATE KEY-----)"
)


@dataclass(frozen=True)
class Finding:
    """Something that ``kind`` of thing: where it is, how many files and bytes.

    ``layer`` is the number of the layer that stores most of it, None for a setting.
    ``hidden`` is true if only a layer has it and not the final file system.
    """

    kind: str
    place: str
    files: int = 0
    bytes: int = 0
    layer: int | None = None
    hidden: bool = False


def findings(image: Image) -> list[Finding]:
    """Everything that the rules find in ``image``, by kind, the largest first."""
    found = [*_in_places(image), *_secret_files(image), *_secret_texts(image)]
    found += [*_setuid(image), *_writable(image)]
    order = list(dict.fromkeys(finding.kind for finding in found))
    return sorted(found, key=lambda f: (order.index(f.kind), -f.bytes, -f.files, f.place))


def _in_places(image: Image) -> Iterator[Finding]:
    """Compilers, headers, caches: whatever a whole folder of is too much."""
    for kind, rule in _PLACES.items():
        files: Counter[str] = Counter()
        sizes: Counter[str] = Counter()
        layers: dict[str, Counter[int]] = defaultdict(Counter)
        for path, file in image.files.items():
            if match := rule.fullmatch(path):
                place = next(group for group in match.groups() if group)
                files[place] += 1
                sizes[place] += file.bytes
                layers[place][file.layer] += file.bytes or 1
        for place, count in files.items():
            yield Finding(
                kind, f"/{place}", count, sizes[place], layers[place].most_common(1)[0][0]
            )


def _secret_files(image: Image) -> Iterator[Finding]:
    """Files that are named as secrets are, in every layer: a removed one can be read too."""
    for number, entry in image.stored():
        if entry.kind == "file" and _SECRET_FILE.fullmatch(entry.path):
            seen = image.files.get(entry.path)
            hidden = seen is None or seen.layer != number
            yield Finding("secret files", f"/{entry.path}", 1, entry.size, number, hidden)


def _secret_texts(image: Image) -> Iterator[Finding]:
    """Settings and recorded commands in which a secret has a value; the value is masked."""
    settings = image.config.get("config") or {}
    texts = [("ENV", text) for text in settings.get("Env") or []]
    texts += [("LABEL", f"{k}={v}") for k, v in (settings.get("Labels") or {}).items()]
    texts += [
        (key.upper(), json.dumps(settings[key]))
        for key in ("Entrypoint", "Cmd")
        if settings.get(key)
    ]
    texts += [("history", h.get("created_by") or "") for h in image.config.get("history") or []]
    seen = set()
    for where, text in texts:
        for match in _ASSIGNED.finditer(text):
            if match["name"].upper().endswith("_FILE"):
                continue  # where the secret is, and not what it is
            seen.add((f"secrets in {where}", f"{match['name']}={_masked(match['value'])}"))
        for match in _KNOWN_FORMS.finditer(text):
            form = match.lastgroup
            shown = _masked(match[0]) if form != "pem" else "a private key"
            if form == "url":
                shown = re.sub(r"(://[^:/@]*):.*@", r"\1:…@", match[0])
            seen.add((f"secrets in {where}", shown))
    for kind, place in sorted(seen):
        yield Finding(kind, place)


def _masked(value: str) -> str:
    return value.strip("\"'")[:2] + "…"


def _setuid(image: Image) -> Iterator[Finding]:
    for path, file in image.files.items():
        if file.entry.kind in ("file", "hard link") and file.entry.mode & 0o6000:
            yield Finding("setuid and setgid", f"/{path}", 1, file.bytes, file.layer)


def _writable(image: Image) -> Iterator[Finding]:
    """Files that the run-time user may write, by the folder at the top that they are in."""
    kind = "writable files"
    uid, gids = run_time_user(image)
    if uid == 0:
        total = sum(file.bytes for file in image.files.values())
        yield Finding(kind, "everything: it runs as root", len(image.files), total)
        return
    files: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    layers: dict[str, Counter[int]] = defaultdict(Counter)
    for path, file in image.files.items():
        if file.entry.kind in ("file", "hard link") and _may_write(file.entry, uid, gids):
            top = f"/{path.partition('/')[0]}"
            files[top] += 1
            sizes[top] += file.bytes
            layers[top][file.layer] += 1
    for top, count in files.items():
        yield Finding(kind, top, count, sizes[top], layers[top].most_common(1)[0][0])


def _may_write(entry: Entry, uid: int | None, gids: set[int]) -> bool:
    """By the first class of the mode that fits: owner, group, others."""
    if entry.uid == uid:
        return bool(entry.mode & 0o200)
    if entry.gid in gids:
        return bool(entry.mode & 0o020)
    return bool(entry.mode & 0o002)


def run_time_user(image: Image) -> tuple[int | None, set[int]]:
    """The user that a container of ``image`` runs as, and its groups, as numbers.

    A name is looked up in the image's own /etc/passwd and /etc/group; one that is not
    there gives None. A line in which no number stands where one has to be is no entry.
    """
    user, _, group = ((image.config.get("config") or {}).get("User") or "0").partition(":")
    people = [
        (name, int(uid), int(gid))
        for name, _, uid, gid in _entries(image, "etc/passwd")
        if _is_number(uid) and _is_number(gid)
    ]
    groups = [
        (name, int(gid), members.split(","))
        for name, _, gid, members in _entries(image, "etc/group")
        if _is_number(gid)
    ]
    known = next((p for p in people if user in (p[0], str(p[1]))), None)
    uid = known[1] if known else int(user) if _is_number(user) else None
    gids = set()
    if group:
        named = next((gid for name, gid, _ in groups if name == group), None)
        gids |= {named} if named is not None else {int(group)} if _is_number(group) else set()
    elif known:
        gids = {known[2]} | {gid for _, gid, members in groups if known[0] in members}
    return uid, gids


def _entries(image: Image, path: str) -> list[list[str]]:
    """The first four fields of each line of a file like /etc/passwd."""
    lines = image.texts.get(path, "").splitlines()
    return [f"{line}:::".split(":")[:4] for line in lines]


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[0-9]{1,10}", text) is not None
