"""Layer on layer: what can be seen in the end, and who stores and hides the rest."""

import archives
import pytest
from archives import FOLDER, LINK, SYMLINK, member, tar

from workshop.errors import WorkshopError
from workshop.layers import archive
from workshop.layers.image import Image
from workshop.layers.tar import Stream


def image(*made, history=None, **settings):
    """An image of ``made`` layers, each a tuple of members."""
    tars = [tar(*items) for items in made]
    config = archives.config(tars, **settings)
    if history is not None:
        config["history"] = history
    read = archive.read(Stream([archives.docker_form(tars)]), "the image")
    return Image("the image", config, read.layers)


def file(name, size, **more):
    return member(name, b"x" * size, **more)


def seen(made):
    return {path: f.bytes for path, f in made.files.items()}


def hidden(made):
    return [tuple(s) for s in made.superseded]


CASES = {
    "nothing is hidden": (
        [[file("a", 1)], [file("b", 2)]], {"a": 1, "b": 2}, [], (1, 0, 0),
    ),
    "overwritten": (
        [[file("a", 5)], [file("a", 3)]], {"a": 3}, [("a", 5, 0, 1)], (0, 1, 0),
    ),
    "overwritten twice": (
        [[file("a", 5)], [file("a", 3)], [file("a", 1)]],
        {"a": 1}, [("a", 5, 0, 1), ("a", 3, 1, 2)], (0, 1, 0),
    ),
    "removed as a file": (
        [[file("d/a", 5)], ["d/.wh.a"]], {}, [("d/a", 5, 0, 1)], (0, 0, 1),
    ),
    "removed with its folder": (
        [[file("w/x/a", 5), file("w/b", 2)], [".wh.w"]],
        {}, [("w/x/a", 5, 0, 1), ("w/b", 2, 0, 1)], (0, 0, 2),
    ),
    "hidden by an opaque folder": (
        [[file("d/a", 5), file("e", 1)], ["d/", "d/.wh..wh..opq", file("d/b", 2)]],
        {"e": 1, "d/b": 2}, [("d/a", 5, 0, 1)], (1, 0, 1),
    ),
    "an opaque folder keeps what its own layer stores, whatever the order": (
        [[file("d/a", 5)], [file("d/b", 2), "d/.wh..wh..opq", file("d/a", 1)]],
        {"d/b": 2, "d/a": 1}, [("d/a", 5, 0, 1)], (1, 1, 0),
    ),
    "made again later": (
        [[file("a", 5)], [".wh.a"], [file("a", 5)]],
        {"a": 5}, [("a", 5, 0, 1)], (1, 0, 0),
    ),
    "a folder takes the place of a file": (
        [[file("a", 5)], [file("a/b", 1)]], {"a/b": 1}, [("a", 5, 0, 1)], (1, 0, 1),
    ),
    "a file takes the place of a folder": (
        [[file("a/b", 5), file("a/c/d", 6)], [file("a", 1)]],
        {"a": 1}, [("a/b", 5, 0, 1), ("a/c/d", 6, 0, 1)], (1, 0, 2),
    ),
    "a symlink takes the place of a file": (
        [[file("a", 5)], [member("a", kind=SYMLINK, target="b")]],
        {"a": 0}, [("a", 5, 0, 1)], (0, 1, 0),
    ),
    "a whiteout for what is not there": ([[file("a", 5)], [".wh.b"]], {"a": 5}, [], (0, 0, 0)),
    "a whiteout in what was a file": (
        [[file("a", 5)], ["a/.wh.b"]], {}, [("a", 5, 0, 1)], (0, 0, 1),
    ),
    "a folder named again keeps what is in it": (
        [[file("d/a", 5)], [member("d", kind=FOLDER, mode=0o700)]], {"d/a": 5}, [], (0, 0, 0),
    ),
    "two names of one file count once": (
        [[file("a", 5), member("b", kind=LINK, target="a")]], {"a": 5, "b": 0}, [], (2, 0, 0),
    ),
    "one of two names is removed": (
        [[file("a", 5), member("b", kind=LINK, target="a")], [".wh.a"]],
        {"b": 5}, [("a", 0, 0, 1)], (0, 0, 1),
    ),
    "both names are removed": (
        [[file("a", 5), member("b", kind=LINK, target="a")], [".wh.a"], [".wh.b"]],
        {}, [("a", 5, 0, 1), ("b", 0, 0, 2)], (0, 0, 1),
    ),
    "a name for a file of the layer below": (
        [[file("a", 5)], [member("b", kind=LINK, target="a")], [".wh.a"]],
        {"b": 5}, [("a", 0, 0, 2)], (0, 0, 1),
    ),
    "the same path twice in one layer": (
        [[file("a", 5), file("a", 3)]], {"a": 3}, [("a", 5, 0, 0)], (1, 0, 0),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_is_seen_and_what_is_hidden(case):
    made, expected_seen, expected_hidden, counts = CASES[case]
    found = image(*made)
    assert seen(found) == expected_seen
    assert hidden(found) == expected_hidden
    top = found.layers[-1]
    assert (top.added, top.changed, top.removed) == counts
    assert found.superseded_bytes == sum(lost for _, lost, *_ in expected_hidden)
    assert found.size - found.superseded_bytes == sum(expected_seen.values())


def test_superseded_bytes_are_the_storing_layers():
    found = image([file("a", 5), file("b", 7)], [".wh.a"], [file("b", 1)])
    assert [(la.size, la.superseded_bytes) for la in found.layers] == [(12, 12), (0, 0), (1, 0)]


def test_a_hard_link_to_nothing_is_refused():
    with pytest.raises(WorkshopError, match="hard link 'b' leads to 'gone'"):
        image([member("b", kind=LINK, target="gone")])


def test_instructions_without_a_layer_are_passed_over():
    history = [
        {"created_by": "COPY a"},
        {"created_by": "ENV A=1", "empty_layer": True},
        {"created_by": "COPY b"},
    ]
    found = image(["a"], ["b"], history=history)
    assert [layer.created_by for layer in found.layers] == ["COPY a", "COPY b"]


@pytest.mark.parametrize("history", [[], [{"created_by": "COPY a"}]])
def test_a_history_that_does_not_fit_names_no_instruction(history):
    assert [la.created_by for la in image(["a"], ["b"], history=history).layers] == ["", ""]


def test_paths_are_resolved_through_symlinks():
    def to(path, target):
        return member(path, kind=SYMLINK, target=target)

    found = image([
        file("usr/lib/x.so.1", 1), to("usr/lib/x.so", "x.so.1"), to("lib", "usr/lib"),
        to("abs", "/usr/./lib"), to("up", "usr/lib/../bin"), to("loop", "loop"),
    ])  # fmt: skip
    for path in ("/lib/x.so", "abs/x.so", "usr/lib/x.so.1", "/usr/bin/../lib/x.so"):
        assert found.resolve(path) == "usr/lib/x.so.1"
    assert found.resolve("/up/sh") == "usr/bin/sh"
    assert found.resolve("/loop/a") == "loop/a"
    assert found.resolve("/") == ""


def test_as_deep_as_a_path_can_be_is_deep_enough():
    deep = "/".join("d" * 2000)
    found = image([file(f"{deep}/a", 5)], [f"{deep[:-2]}/.wh.d"], [".wh.d", file("d", 1)])
    assert seen(found) == {"d": 1}
    assert hidden(found) == [(f"{deep}/a", 5, 0, 1)]
