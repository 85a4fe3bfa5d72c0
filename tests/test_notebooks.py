"""The notebooks as files, as a reader finds them. What the cells do is nbval's matter."""

import ast
import difflib
import io
import json
import re
import subprocess
import sys
import tokenize
from collections import Counter
from pathlib import Path

import pytest

from utils import config

# A copy that JupyterLab or a browser made, 10_mobilenet_v2-Copy1 say, has another form of name.
NOTEBOOKS = sorted(
    path
    for path in (config.root / "notebooks").glob("*.ipynb")
    if re.fullmatch(r"[0-9]{2}_[a-z0-9_]+", path.stem)
)
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
TAGS = {
    "network",  # defines the network; tests, tables and programs run these cells alone
    "our-run",  # reads the saved run: not in the copies for a class
    "experiment",  # trains or times something of its own
    "nbval-check-output",  # what it prints does not depend on the run: nbval compares it
}
# The same act is written the same way in all networks' notebooks: cells by their ids.
SAME = (
    "find-utils",
    "imports",
    "batches",
    "make-optimizer",
    "train",
    "curves",
    "save-load",
    "predict-file",
    "predict-gallery",
    "peers",
)
# Where one differs, and why: (the notebook's title, the cell's id) -> the reason.
DIFFERENT = {
    ("LeNet-5", "batches"): "its third convolution needs pictures of 32 pixels from the start",
    ("VGG-11", "batches"): "pictures of full size throughout",
    ("ResNeXt-29", "batches"): "pictures of full size throughout",
    ("EfficientNet on MNIST", "batches"): "digits, which are not mirrored",
    ("EfficientNet on MNIST", "predict-file"): "a picture has to be made like MNIST's first",
    ("EfficientNet on MNIST", "predict-gallery"): "two digits, as they are and prepared",
    ("EfficientNet on MNIST", "peers"): "no other network of the course learned digits",
    ("Speed run", "imports"): "a seed of its own",
    ("Speed run", "batches"): "shifted pictures have mirrored edges",
    ("Speed run", "make-optimizer"): "Muon, and whitening",
    ("Speed run", "train"): "a loop of its own",
    ("Speed run", "save-load"): "two optimizers, two schedules",
}


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


def test_the_idea_and_its_drawing_come_first(path, book):
    if architecture(path):
        before, drawing, _ = source(book["cells"][0]).partition("](figures/")
        assert drawing
        assert len(before.split()) <= 150, "within the first screen"


def our_run(book: dict) -> list[dict]:
    """The cells that read the saved run."""
    return [cell for cell in book["cells"] if source(cell).startswith(SHOWS)]


def test_prose_about_our_run_has_its_numbers(path, book):
    """Each decimal number of these cells is one that a cell printed, or that one rounded."""
    shown = numbers(printed(book))
    assert len(our_run(book)) >= (4 if architecture(path) else 1)
    for cell in our_run(book):
        text = source(cell)
        assert "{{" not in text
        for said in re.findall(r"(?<![\w.:])\d[\d,]*\.\d+(?![\w.]*\d)", text):
            assert is_one_of(said, shown), f"{said} was not printed, in {cell['id']}: {text}"


def numbers(text: str) -> list[float]:
    return [float(found.replace(",", "")) for found in re.findall(r"\d[\d,]*(?:\.\d+)?", text)]


def is_one_of(said: str, shown: list[float]) -> bool:
    """Whether a number as written is one of those, rounded; a share may be told in percent."""
    decimals = len(said.partition(".")[2])
    number, half = float(said.replace(",", "")), 0.5 * 10**-decimals + 1e-9
    return any(abs(one - number) <= half or abs(100 * one - number) <= half for one in shown)


@pytest.mark.parametrize(
    ("said", "printed_text", "right"),
    [
        ("89.98", "test 89.98%", True),
        ("6.5", "6.4835 times", True),
        ("6.4", "6.4835 times", False),
        ("12.3", "a share of 0.1234", True),
        ("12.34", "a share of 0.1230", False),
        ("1,234.5", "1,234.51 images/s", True),
        ("0.5", "nothing", False),
    ],
)
def test_a_number_may_be_rounded_and_not_more(said, printed_text, right):
    assert is_one_of(said, numbers(printed_text)) is right


def test_cells_about_our_run_can_be_taken_out(book):
    """By their tag; and they are true on a screen where the reader's own output stands."""
    tagged_ids = {c["id"] for c in book["cells"] if "our-run" in c["metadata"].get("tags", [])}
    assert tagged_ids == {cell["id"] for cell in our_run(book)}
    for cell in our_run(book):
        found = re.findall(r"[^.]*\b(?:above|below)\b[^.]*", source(cell))
        assert not found, f"{cell['id']}: say 'in our saved run', or where: {found}"


def test_has_recall_questions(path, book):
    _, _, after = prose(book).partition("### Recall")
    assert len(re.findall(r"^[1-8]\. ", after.split("<details>")[0], re.M)) == 8


def title(book: dict) -> str:
    return book["metadata"]["course"]["title"]


def act(cell: dict) -> list[str]:
    """A cell's lines without what is a notebook's own: its imports, names, texts and numbers."""
    text = source(cell)
    tree = ast.parse(text)
    tree.body = [node for node in tree.body if not isinstance(node, ast.Import | ast.ImportFrom)]
    code = ast.unparse(tree)  # so that a longer name may break a line elsewhere
    for pattern, common in {
        r"(run_folder\()'\w+'": r"\1'NOTEBOOK'",
        r"('record\.json', )'[^']+'": r"\1'NETWORK'",
        r"(config\.show\()'[\w-]+'": r"\1'DATA'",
        r"\b(full=)'[^']+'": r"\1'HOW MUCH'",
        r"\b(full|short|lr|max_lr|weight_decay)=[\d.e-]+": r"\1=NUMBER",
        r"\* \d+ // \d+": "* NUMBER // NUMBER",
        r"\b[a-z]+\.jpg\b": "PICTURE.jpg",
    }.items():
        code = re.sub(pattern, common, code)
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return code.splitlines() + [token.string for token in tokens if token.type == tokenize.COMMENT]


@pytest.mark.parametrize("cell_id", SAME)
def test_the_same_act_is_written_the_same_way(cell_id):
    """A reader who compares two notebooks looks for a meaning in every difference."""
    acts = {}
    for path in filter(architecture, NOTEBOOKS):
        book = json.loads(path.read_text(encoding="utf-8"))
        cells = [cell for cell in code_cells(book) if cell["id"] == cell_id]
        own_way = (title(book), cell_id) in DIFFERENT
        assert cells or own_way, f"{path.stem} has no code cell with the id {cell_id}"
        for cell in cells:
            acts[path.stem] = (act(cell), own_way)
    usual = Counter("\n".join(lines) for lines, own_way in acts.values() if not own_way)
    most, _ = usual.most_common(1)[0]
    for name, (lines, own_way) in acts.items():
        difference = list(difflib.unified_diff(most.splitlines(), lines, "most", name, lineterm=""))
        if own_way:
            assert difference, f"{cell_id} of {name} is as in the others: take it out of DIFFERENT"
        else:
            assert not difference, f"{cell_id} of {name}:\n" + "\n".join(difference)


def test_differences_are_of_notebooks_that_there_are():
    titles = {title(json.loads(path.read_text(encoding="utf-8"))) for path in NOTEBOOKS}
    assert {name for name, _ in DIFFERENT} <= titles
    assert {cell_id for _, cell_id in DIFFERENT} <= set(SAME)


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


def test_metadata_is_what_jupyter_would_write_and_no_more(book):
    """Where JupyterLab has nothing to fill in, opening a notebook does not change it."""
    assert set(book["metadata"]) == {"course", "kernelspec", "language_info"}
    assert book["metadata"]["kernelspec"]["name"] == "python3"
    assert set(book["metadata"]["language_info"]) == {
        "codemirror_mode",
        "file_extension",
        "mimetype",
        "name",
        "nbconvert_exporter",
        "pygments_lexer",
        "version",
    }
    for cell in book["cells"]:
        assert set(cell["metadata"]) <= {"tags"}, cell["id"]
        assert set(cell["metadata"].get("tags", [])) <= TAGS, cell["id"]


def test_each_figure_has_a_text_for_those_who_cannot_see_it(book):
    for cell in code_cells(book):
        for output in cell["outputs"]:
            for kind in output.get("data", {}):
                if kind.startswith("image/"):
                    text = output["metadata"].get(kind, {}).get("alt", "")
                    assert len(text) >= 20, f"{cell['id']}: a figure without an alternative text"


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


def test_a_notebook_is_at_most_a_megabyte(path):
    assert path.stat().st_size <= 1_000_000


def test_no_line_of_code_or_of_print_is_cut_off(book):
    """JupyterLab and a web page show no more columns than these without scrolling."""
    for cell in code_cells(book):
        for line in source(cell).splitlines():
            assert len(line) <= 88, f"{cell['id']}: {line}"
    for line in printed(book).splitlines():
        assert len(line) <= 100, line


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
        assert target.endswith(".png"), f"{target}: viewers on the web may not show it"


def test_links_to_notebooks_and_modules_exist(path, book):
    for name in re.findall(r"`(\d\d_\w+\.ipynb)`", prose(book)):
        assert (path.parent / name).is_file(), name
    for name in re.findall(r"`(utils/\w+\.py)`", prose(book)):
        assert (config.root / name).is_file(), name


def test_imports_only_what_is_for_notebooks(book):
    """The machinery is for the helpers."""
    eight = {
        "config",
        "data",
        "experiment",
        "lesson",
        "metrics",
        "plot",
        "predict",
        "train",
    }
    for cell in code_cells(book):
        for node in ast.walk(ast.parse(source(cell))):
            if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "utils":
                names = [alias.name for alias in node.names]
                modules = names if node.module == "utils" else [node.module.removeprefix("utils.")]
                assert set(modules) <= eight, cell["id"]
                assert "*" not in names, cell["id"]


def test_names_its_run_once(path, book):
    """Weights, record and comparison take the folder: who copies a notebook changes one name."""
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


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]], ids=" ".join)
def test_ruff_is_clean(command):
    result = subprocess.run(
        [sys.executable, "-m", "ruff", *command, "--no-cache", str(config.root)],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr
