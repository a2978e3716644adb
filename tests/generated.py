"""Images made at random, for Hypothesis: layers that write, remove, re-create and link.

Each layer is one that an engine could have made: within it a path is one thing, a folder
that is removed and made again is opaque, and hard links lead to files of the same layer.
What becomes of the layers below is left to chance.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from archives import FILE, FOLDER, LINK, SYMLINK, Member, member, tar
from hypothesis import strategies as st

NAMES = ("a", "b", "c")


@st.composite
def paths(draw: st.DrawFn) -> str:
    return "/".join(draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4)))


@st.composite
def layers(draw: st.DrawFn) -> list[Member]:
    """The members of one layer."""
    kinds: dict[str, str] = {}
    members: list[Member] = []

    def free(path: str) -> bool:
        """Whether this layer can still say something about ``path``, and about what is above."""
        parts = path.split("/")
        above = ["/".join(parts[:n]) for n in range(1, len(parts))]
        return path not in kinds and all(
            kinds.get(folder, "folder") == "folder" for folder in above
        )

    def make_room(path: str) -> None:
        parts = path.split("/")
        for n in range(1, len(parts)):
            folder = "/".join(parts[:n])
            if folder not in kinds:
                kinds[folder] = "folder"
                members.append(member(folder, kind=FOLDER, mode=0o755))

    def whiteout(path: str) -> str:
        folder, slash, name = path.rpartition("/")
        return f"{folder}{slash}.wh.{name}"

    whats = st.sampled_from(
        ("file", "file", "folder", "remove", "remove", "opaque", "symlink", "link")
    )
    for what in draw(st.lists(whats, min_size=1, max_size=9)):
        path = draw(paths())
        if not free(path):
            continue
        links = [p for p, kind in kinds.items() if kind == "file"]
        if what == "link" and not links:
            continue
        make_room(path)
        kinds[path] = "folder" if what == "opaque" else what
        if what == "file":
            content = bytes([draw(st.integers(0, 255))]) * draw(st.integers(0, 3000))
            members.append(member(path, content, FILE))
        elif what in ("folder", "opaque"):
            members.append(member(path, kind=FOLDER, mode=0o755))
            if what == "opaque":
                members.append(member(f"{path}/.wh..wh..opq"))
        elif what == "remove":
            members.append(member(whiteout(path)))
        elif what == "symlink":
            members.append(member(path, kind=SYMLINK, target=draw(paths())))
        else:
            members.append(member(path, kind=LINK, target=draw(st.sampled_from(links))))
    return members


# An image is its layers, each a list of members, the lowest first.
images = st.lists(layers(), min_size=1, max_size=5)


def tars(image: Sequence[Sequence[Member]]) -> list[bytes]:
    """The layers of an image, packed."""
    return [tar(*layer) for layer in image]


def side_by_side(made: Sequence[Sequence[Sequence[Member]]]) -> list[bytes]:
    """One image of several: each lies in a folder of its own, whose name is its number.

    A layer holds what the layers of its number hold. What goes on in one folder is nothing
    to the others, so that every image is a case of its own.
    """
    folders = [member(str(number), kind=FOLDER, mode=0o755) for number in range(len(made))]
    mixed = [
        [_below(str(number), item) for number, layer in enumerate(together) for item in layer]
        for together in itertools.zip_longest(*made, fillvalue=())
    ]
    return tars([[*folders, *layer] for layer in mixed])


def _below(folder: str, item: Member) -> Member:
    """``item``, moved into ``folder``."""
    info, content = item
    target = info.linkname
    if info.type == LINK:
        target = f"{folder}/{target}"
    return member(f"{folder}/{info.name}", content, info.type, target, info.mode)
