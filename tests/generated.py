"""Images made at random, for Hypothesis: layers that write, remove, re-create and link.

Each layer is one that an engine could have made: within it a path is one thing, a folder
that is removed and made again is opaque, and hard links lead to files of the same layer.
What becomes of the layers below is left to chance.
"""

from archives import FILE, FOLDER, LINK, SYMLINK, member, tar
from hypothesis import strategies as st

NAMES = ("a", "b", "c")


@st.composite
def paths(draw):
    return "/".join(draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4)))


@st.composite
def layers(draw):
    """One layer's tar."""
    kinds: dict[str, str] = {}
    members = []

    def free(path):
        """Whether this layer can still say something about ``path``, and about what is above."""
        parts = path.split("/")
        above = ["/".join(parts[:n]) for n in range(1, len(parts))]
        return path not in kinds and all(
            kinds.get(folder, "folder") == "folder" for folder in above
        )

    def make_room(path):
        parts = path.split("/")
        for n in range(1, len(parts)):
            folder = "/".join(parts[:n])
            if folder not in kinds:
                kinds[folder] = "folder"
                members.append(member(folder, kind=FOLDER, mode=0o755))

    def mark(path, name):
        return f"{path.rpartition('/')[0]}/{name}".lstrip("/")

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
            members.append(member(mark(path, f".wh.{path.rpartition('/')[2]}")))
        elif what == "symlink":
            members.append(member(path, kind=SYMLINK, target=draw(paths())))
        else:
            members.append(member(path, kind=LINK, target=draw(st.sampled_from(links))))
    return tar(*members)


images = st.lists(layers(), min_size=1, max_size=5)
