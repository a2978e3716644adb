"""What holds for every notebook, read as a file: it ran, it is complete, its links work."""

import re
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest

from workshop.build import grammar
from workshop.lesson import claims, minutes, notebooks
from workshop.paths import DOCKERFILE, NOTEBOOKS, ROOT

CHAPTERS = notebooks.chapters()
SCREEN = 30  # lines


@pytest.fixture(params=CHAPTERS, ids=lambda path: path.stem)
def notebook(request):
    found = nbformat.read(request.param, as_version=4)
    found["path"] = request.param
    return found


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def without_needs(source: str) -> str:
    """A cell's source without the line that says which variable it needs."""
    return source.partition("\n")[2] if source.startswith("%%needs ") else source


def prose(notebook):
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def steps_in(path: Path) -> list[str]:
    """The bodies of the ``%%dockerfile`` cells, in order."""
    cells = code_cells(nbformat.read(path, as_version=4))
    magics = [cell.source for cell in cells if cell.source.startswith("%%dockerfile ")]
    return [source.partition("\n")[2].strip("\n") for source in magics]


def test_it_is_valid(notebook):
    nbformat.validate(nbformat.from_dict({k: v for k, v in notebook.items() if k != "path"}))


def test_every_cell_ran_in_order(notebook):
    """nbval passes a cell that never ran, whatever it does."""
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))


def test_no_cell_holds_an_error_or_expects_one(notebook):
    for cell in code_cells(notebook):
        assert "raises-exception" not in cell.metadata.get("tags", [])
        assert [o for o in cell.outputs if o.output_type == "error"] == []
        assert [o for o in cell.outputs if o.get("name") == "stderr"] == []


def test_no_cell_is_kept_from_nbval(notebook):
    tags = {tag for cell in code_cells(notebook) for tag in cell.metadata.get("tags", [])}
    assert tags <= {"exercise", "check"}
    assert "NBVAL" not in "".join(cell.source for cell in code_cells(notebook))


def test_no_shell_escapes_and_no_other_magic(notebook):
    """`!` swallows exit statuses under nbval and does not work on Windows."""
    for cell in code_cells(notebook):
        if not without_needs(cell.source).startswith(("%%dockerfile ", "%%terminal", "%%file ")):
            source = without_needs(cell.source)
            assert not re.search(r"^\s*[!%]", source, flags=re.MULTILINE), cell.source


# What a workspace may be asked for in a cell: nothing that a docker command says.
OF_A_WORKSPACE = {
    "add_comment", "before", "containers", "dockerfile", "edit", "flow", "look", "path", "read",
    "restore", "results", "site", "size", "stages", "tag", "text", "use", "write",
}  # fmt: skip


def test_docker_commands_are_typed(notebook):
    """No cell calls a helper that wraps a docker command."""
    sources = "\n".join(cell.source for cell in code_cells(notebook))
    assert set(re.findall(r"\bws\.(\w+)", sources)) <= OF_A_WORKSPACE
    assert "run_cli" not in sources


def test_outputs_name_no_path_of_the_machine_they_ran_on(notebook):
    outputs = str([cell.outputs for cell in code_cells(notebook)])
    # Caches of root in the builder, who also runs these tests on some machines; a process's root.
    outputs = outputs.replace("target=/root/.cache/", "").replace("/proc/1/root/", "")
    assert str(NOTEBOOKS.parent) not in outputs
    assert str(Path.home()) + "/" not in outputs


def test_no_cell_or_output_names_the_host_of_a_package_registry(notebook):
    """Those that the lock files record are the ones that there are."""
    locks = [ROOT / "uv.lock", ROOT / "sample_project" / "uv.lock"]
    recorded = "".join(lock.read_text(encoding="utf-8") for lock in locks)
    hosts = set(re.findall(r"https://([^/\"]+)", recorded))
    assert hosts
    assert [host for host in hosts if host in str(notebook.cells)] == []


def test_it_opens_and_closes_as_every_chapter_does(notebook):
    text = prose(notebook)
    assert text.startswith("# ")
    opening = text.partition("\n## ")[0]
    for part in (
        "**What you'll do:**",
        "**What you'll learn**",
        "| You need | Why |",
        "**Time:** ",
    ):
        assert part in opening, part
    minutes = int(re.search(r"\*\*Time:\*\* (\d+) minutes", opening)[1])
    assert 5 <= minutes <= 25
    assert "](../docs/glossary.md" in opening
    assert "## Key points" in notebook.cells[-1].source
    assert re.search(r"\*\*(Next:|Back to)\*\* ?\[", notebook.cells[-1].source)


def asks(cell) -> bool:
    """True for text that ends with a question, or wants a prediction; exercises fold nothing."""
    if cell.metadata.get("tags"):
        return False
    text = re.sub(r"\([^()]*\)$", "", cell.source.rstrip()).rstrip()
    return text.endswith("?") or bool(re.search(r"\b([Gg]uess|Predict)\b", text))


def is_folded(cell) -> bool:
    return bool(cell.metadata.get("jupyter", {}).get("outputs_hidden"))


def test_what_answers_a_question_is_folded(notebook):
    """JupyterLab unfolds it when the cell is run. Nobody can predict what is on the screen.

    What shows a file is open, because the question is about that file.
    """
    asked, seen = False, []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            asked = asks(cell)
        elif cell.source.startswith("prediction = []") or "\nprediction = []" in cell.source:
            asked = True
        elif asked and cell.outputs and not re.match("from workshop import", cell.source):
            shows_a_file = re.search(r"(?m)^(\w+ = |print\(|Listing\(.*)ws\.read\(", cell.source)
            if not is_folded(cell) and not shows_a_file:
                seen.append(cell.source)
            asked = "score(" not in cell.source
    assert seen == []


def test_no_listing_is_longer_than_a_screen(notebook):
    """The part that matters is printed; the rest is folded, in a form that can be unfolded."""
    long = [
        (cell.source, output.text.count("\n"))
        for cell in code_cells(notebook)
        for output in cell.outputs
        if output.output_type == "stream" and output.text.count("\n") > SCREEN
    ]
    assert long == []


class Seen(HTMLParser):
    """What is left of HTML where styles are stripped, as GitHub does: its text, and pictures'."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag in ("img", "progress"):
            self.text.append(dict(attrs).get("alt" if tag == "img" else "value") or "NO TEXT")

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_an_output_without_its_styles_says_the_same(notebook):
    """No picture without a text, and each word and number of the text form in the HTML, too."""
    for cell in code_cells(notebook):
        for data in (output.get("data", {}) for output in cell.outputs):
            if html := data.get("text/html", ""):
                left = Seen(re.sub(r' style="[^"]*"', "", html))
                text = " ".join(left.text)
                assert "NO TEXT" not in left.text, cell.source
                assert not left.tags & {"style", "script", "svg"}, cell.source
                # What is cut off in one of them ends with "…".
                words = set(re.findall(r"\w{4,}(?![\w…])", data["text/plain"]))
                assert words - set(re.findall(r"\w{4,}", text)) == set(), cell.source


def test_it_begins_with_a_checkpoint_of_its_own_name(notebook):
    first = code_cells(notebook)[0].source
    assert f'checkpoint("{notebook["path"].stem}"' in first


def test_links_lead_to_files(notebook):
    for target in re.findall(r"\]\(([^)#]+)\)", prose(notebook)):
        if not target.startswith(("http://", "https://")):
            assert (NOTEBOOKS / target).is_file(), target


def test_every_claim_was_seen_to_hold(notebook):
    """As many ticks in the output as there are claims in the cell."""
    for cell in code_cells(notebook):
        printed = "".join(o.get("text", "") for o in cell.outputs if o.output_type == "stream")
        claims = len(re.findall(r"^\s*check\(", cell.source, flags=re.MULTILINE))
        if cell.source.startswith("%%needs "):
            # tests/cluster runs these cells.
            name = cell.source.split()[1]
            assert printed == f"Skipped, because {name} is not set.\n", cell.source
        else:
            assert printed.count("✔ ") == claims, cell.source


def test_the_site_lists_every_claim_under_the_number_of_its_cell(notebook):
    printed = [
        (cell.execution_count, line.removeprefix("✔ "))
        for cell in code_cells(notebook)
        for output in cell.outputs
        for line in output.get("text", "").splitlines()
        if line.startswith("✔ ")
    ]
    kept = claims.stored()[notebook["path"].stem]["claims"]
    assert [(one["cell"], one["claim"]) for one in kept] == printed


def test_the_map_in_chapter_00_lists_every_chapter():
    start = prose(nbformat.read(CHAPTERS[0], as_version=4))
    rows = re.findall(r"^\| \[.*\]\((.*)\) \|", start, flags=re.MULTILINE)
    assert rows == [path.name for path in CHAPTERS[1:]]


def test_the_minutes_agree_between_the_chapters_and_their_maps():
    readme = (NOTEBOOKS.parent / "README.md").read_text(encoding="utf-8")
    start = prose(nbformat.read(CHAPTERS[0], as_version=4))
    for path in CHAPTERS:
        minutes = re.search(
            r"\*\*Time:\*\* (\d+) minutes", prose(nbformat.read(path, as_version=4))
        )[1]
        number = path.name[:2]
        for text in (readme, start):
            row = re.search(rf"^\| \[?{number} .*$", text, flags=re.MULTILINE)[0]
            assert row.rstrip(" |").endswith(f"| {minutes}"), row


def test_the_schedules_for_teaching_have_these_minutes_and_fit_their_time():
    guide = (ROOT / "docs" / "teaching.md").read_text(encoding="utf-8")
    counted = {
        path.stem[:2]: (m.chapter, m.exercises)
        for path in notebooks.chapters()
        if (m := minutes.of_chapter(path))
    }
    for limit, table in zip((90, 180, 360), guide.split("| Teaching |")[1:], strict=True):
        rows = re.findall(r"(?m)^\| (\d\d) [^|]+\| (\d+) \| (\d+) \|$", table)
        assert rows
        for number, teaching, solving in rows:
            assert counted[number] == (int(teaching), int(solving)), number
        assert sum(int(teaching) + int(solving) for _, teaching, solving in rows) <= limit


def test_the_minutes_are_those_that_are_counted(notebook):
    """`workshop minutes` prints them."""
    found = minutes.of_chapter(notebook["path"])
    said = f"**Time:** {found.chapter} minutes"
    if found.exercises:
        said += f", and {found.exercises} for the exercises"
    assert f"{said}." in prose(notebook)


def test_the_steps_of_chapters_02_and_03_are_the_dockerfile():
    steps = steps_in(NOTEBOOKS / "02-builder-stage.ipynb")
    steps += steps_in(NOTEBOOKS / "03-final-stage.ipynb")
    assert grammar.join(steps) == DOCKERFILE.read_text(encoding="utf-8")


def test_the_steps_of_chapter_01_are_the_one_stage_variant():
    steps = steps_in(NOTEBOOKS / "01-the-sample-project.ipynb")
    variant = NOTEBOOKS.parent / "variants" / "one-stage.Dockerfile"
    assert grammar.join(steps) == variant.read_text(encoding="utf-8")
