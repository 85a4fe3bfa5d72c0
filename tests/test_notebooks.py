"""The notebooks as files: what a reader finds when they open one. What the cells do is nbval's matter."""

import ast
import difflib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from utils import config

NOTEBOOKS = sorted((config.root / "notebooks").glob("[0-9][0-9]_*.ipynb"))
HEADINGS = [
    "1. Set up",
    "2. Load the data",
    "3. Define the network",
    "4. Summary",
    "5. Loss and optimizer",
    "6. Train",
    "7. Curves",
    "8. Accuracy, class by class",
    "9. Save and load",
    "10. Predict from a file or a URL",
    "11. What to remember",
]
FREE_FORM = ("00_", "20_")  # these have no network of their own, and headings of their own
SAMPLES = ("Emoji-10", "Font digits")
SHOWS = "**What our run shows.**"


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request) -> Path:
    return request.param


@pytest.fixture
def book(path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def source(cell: dict) -> str:
    return "".join(cell["source"])


def code_cells(book: dict) -> list[dict]:
    return [cell for cell in book["cells"] if cell["cell_type"] == "code"]


def prose(book: dict) -> str:
    return "\n\n".join(source(cell) for cell in book["cells"] if cell["cell_type"] == "markdown")


def printed(book: dict) -> str:
    """All text that the cells gave out."""
    texts = []
    for cell in code_cells(book):
        for output in cell["outputs"]:
            texts.append(output.get("text", ""))
            if (
                output["output_type"] == "execute_result"
            ):  # a figure that is shown has a name there, too
                texts.append(output["data"].get("text/plain", ""))
    return "\n".join("".join(text) for text in texts)


def architecture(path: Path) -> bool:
    return not path.name.startswith(FREE_FORM)


def trained(path: Path) -> bool:
    """Whether the outputs are those of a full run: of the networks, those that have a record do."""
    return not architecture(path) or (config.results_dir / f"{path.stem}.json").is_file()


def tagged(book: dict, tag: str) -> list[dict]:
    return [cell for cell in code_cells(book) if tag in cell["metadata"].get("tags", [])]


def test_there_are_notebooks():
    assert [p.stem for p in NOTEBOOKS][0] == "00_start_here"


def words(book: dict) -> int:
    """Words of prose, without what is folded away."""
    return len(re.sub(r"<details>.*?</details>", "", prose(book), flags=re.S).split())


def lines_of_code(book: dict) -> int:
    return sum(
        bool(line.strip()) for cell in code_cells(book) for line in source(cell).splitlines()
    )


def test_can_be_read_in_a_sitting(path, book):
    """150 words or 10 lines of code a minute."""
    if not architecture(path):
        return
    assert len(book["cells"]) <= 60
    assert words(book) <= 2_200
    assert lines_of_code(book) <= 260
    assert words(book) / 150 + lines_of_code(book) / 10 <= 45


def test_the_idea_and_its_drawing_come_first(path, book):
    if architecture(path):
        before, drawing, _ = source(book["cells"][0]).partition("](figures/")
        assert drawing
        assert len(before.split()) <= 150, "within the first screen"


def test_prose_about_our_run_has_its_numbers(path, book):
    """Each decimal number of a cell "What our run shows" stands in something that a cell printed."""
    shown, said = (
        printed(book),
        [text for text in map(source, book["cells"]) if text.startswith(SHOWS)],
    )
    assert len(said) >= (4 if architecture(path) else 1)
    for text in said:
        for number in re.findall(r"(?<![\w.])\d[\d,]*\.\d+(?![\w.]*\d)", text):
            assert re.search(rf"(?<![\d.]){re.escape(number)}(?!\d)", shown), f"{number} in: {text}"
        assert "{{" not in text


def test_has_recall_questions(path, book):
    _, _, after = prose(book).partition("### Recall")
    assert len(re.findall(r"^[1-8]\. ", after.split("<details>")[0], re.M)) == 8


def test_little_is_alike_in_all_notebooks():
    """Cells that stand nearly the same in three or more notebooks: of the reader's time, not of its network."""
    books = {
        path.stem: [
            re.sub(r"\d\d_\w+", "NAME", source(cell))
            for cell in json.loads(path.read_text("utf-8"))["cells"]
        ]
        for path in NOTEBOOKS
        if architecture(path)
    }
    for name, cells in books.items():
        others = [texts for other, texts in books.items() if other != name]
        alike = [
            c
            for c in cells
            if sum(any(similar(c, text) for text in texts) for texts in others) >= 2
        ]
        assert len(alike) < 0.15 * len(cells), [text[:60] for text in alike]


def similar(a: str, b: str) -> bool:
    matcher = difflib.SequenceMatcher(None, a, b, autojunk=False)
    return (
        matcher.real_quick_ratio() > 0.9 and matcher.quick_ratio() > 0.9 and matcher.ratio() > 0.9
    )


def test_headings(path, book):
    titles = re.findall(r"^# (.+)$", prose(book), re.M)
    assert len(titles) == 1, "one H1"
    if architecture(path):
        assert [h.strip() for h in re.findall(r"^## (.+)$", prose(book), re.M)] == HEADINGS


def test_names_the_paper_and_ends_with_exercises(path, book):
    first = source(book["cells"][0])
    assert first.startswith("# ")
    if architecture(path):
        assert re.search(r"arXiv:\d{4}\.\d{4,5}|Proceedings of|NIPS", first), (
            "the paper, above section 1"
        )
    solutions = prose(book).count("<details>")
    assert 3 <= solutions <= 5
    assert prose(book).count("</details>") == solutions
    assert "### References" in prose(book) or not architecture(path)


def test_cells_have_unique_speaking_ids(book):
    ids = [cell["id"] for cell in book["cells"]]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z][a-z0-9-]{2,40}", name) for name in ids), ids


def test_first_code_cell_is_the_same_everywhere(book):
    first = json.loads(NOTEBOOKS[0].read_text(encoding="utf-8"))
    assert source(code_cells(book)[0]) == source(code_cells(first)[0])


def test_every_cell_was_run_in_order(path, book):
    counts = [cell["execution_count"] for cell in code_cells(book)]
    if trained(path):
        assert counts == list(range(1, len(counts) + 1)), "run all cells once, from a fresh kernel"
    for cell in code_cells(book):
        assert all(output["output_type"] != "error" for output in cell["outputs"])


def test_outputs_are_clean(book):
    raw = json.dumps([cell["outputs"] for cell in code_cells(book)])
    assert "application/vnd.jupyter.widget" not in raw
    assert "widgets" not in book["metadata"]
    assert not re.search(r"/(root|work|tmp|home|Users)/|[A-Z]:\\\\", raw), (
        "a path of somebody's machine"
    )
    assert not re.search(r"Warning\b|warn\(", printed(book))
    assert '"stderr"' not in raw
    assert "<Figure" not in printed(book), "a figure that is shown and also returned"


def test_metadata_is_not_volatile(book):
    assert set(book["metadata"]) <= {"course", "kernelspec", "language_info"}
    assert book["metadata"]["kernelspec"]["name"] == "python3"
    assert "version" not in book["metadata"].get("language_info", {})
    for cell in book["cells"]:
        assert set(cell["metadata"]) <= {"tags"}, cell["id"]


def test_says_what_it_is(book):
    """The title and the experiment stand in the README's tables."""
    assert set(book["metadata"]["course"]) == {"title", "experiment"}
    assert all(text and "|" not in text for text in book["metadata"]["course"].values())


def test_outputs_are_of_all_the_real_data(path, book):
    if not trained(path):
        pytest.skip("not trained yet")
    assert re.search(r"^Full run: all images, \d+ epochs?, on ", printed(book), re.M)
    assert re.search(
        r"^(CIFAR-10: 50,000 of 50,000|MNIST: 60,000 of 60,000) training images",
        printed(book),
        re.M,
    )
    if architecture(path):
        assert not any(name in printed(book) for name in SAMPLES)


def test_size(path, book):
    assert path.stat().st_size <= 1_000_000
    for cell in book["cells"]:
        lines = source(cell).splitlines()
        if cell["cell_type"] == "code":
            assert len(lines) <= 42, cell["id"]
            assert max(map(len, lines)) <= 120, cell["id"]


def test_checked_cells_have_an_output_to_check(path, book):
    """nbval compares what a cell with this tag prints with what is saved."""
    for cell in code_cells(book):
        assert "NBVAL" not in source(cell), f"{cell['id']}: the mark is the tag nbval-check-output"
    checked = tagged(book, "nbval-check-output")
    assert all(cell["outputs"] for cell in checked)
    if architecture(path):
        assert len(checked) >= 3


def test_pictures_in_prose_exist(path, book):
    for alternative, target in re.findall(r"!\[(.*?)\]\((.*?)\)", prose(book)):
        assert len(alternative) >= 20, "say what the picture shows"
        assert (path.parent / target).is_file(), target


def test_links_to_notebooks_and_modules_exist(path, book):
    for name in re.findall(r"`(\d\d_\w+\.ipynb)`", prose(book)):
        assert (path.parent / name).is_file(), name
    for name in re.findall(r"`(utils/\w+\.py)`", prose(book)):
        assert (config.root / name).is_file(), name


def test_imports_only_what_is_for_notebooks(book):
    """The machinery is for the helpers."""
    seven = {"config", "data", "lesson", "metrics", "plot", "predict", "train"}
    for cell in code_cells(book):
        for node in ast.walk(ast.parse(source(cell))):
            if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "utils":
                names = [alias.name for alias in node.names]
                modules = names if node.module == "utils" else [node.module.removeprefix("utils.")]
                assert set(modules) <= seven, cell["id"]
                assert "*" not in names, cell["id"]


def test_names_its_run_once(path, book):
    """Weights, record and comparison take the folder; so a notebook is copied by changing one name."""
    code = "\n".join(map(source, code_cells(book)))
    (name,) = re.findall(r'config\.run_folder\("(\w+)", ', code)
    assert code.count(f'"{name}"') == 1
    if trained(path):
        assert name == path.stem


def test_network_cells_hold_the_network_alone(path, book):
    if not architecture(path):
        return
    cells = [ast.parse(source(cell)) for cell in tagged(book, "network")]
    for node in (node for cell in cells for node in ast.walk(cell)):
        assert not isinstance(node, ast.Raise | ast.Assert), "train() and predict() check shapes"
        if isinstance(node, ast.Call):
            assert not ast.unparse(node.func).startswith(("print", "plot."))
    defined = [node.name for node in cells[-1].body if isinstance(node, ast.FunctionDef)]
    assert "course_network" in defined, "what section 5 trains"


def test_drawings_stand_on_their_own():
    """Each SVG has a title and a background of its own, so that it can be read in a dark theme, and no script."""
    for drawing in (config.root / "notebooks" / "figures").glob("*.svg"):
        text = drawing.read_text(encoding="utf-8")
        assert "<title>" in text, drawing.name
        assert re.search(r"<rect[^>]*fill=\"(#fff|#ffffff|white)\"", text, re.I), drawing.name
        assert "<script" not in text
        assert not re.search(r"href=\"http", text)


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]], ids=" ".join)
def test_ruff_is_clean(command):
    result = subprocess.run(
        [sys.executable, "-m", "ruff", *command, "--no-cache", str(config.root)],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr
