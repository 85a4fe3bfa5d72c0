"""The programs in tools/ that make notebooks and runs; the one that publishes: test_results.py."""

import contextlib
import json
import shutil
import sys

import nbformat
import pytest
import torch

from utils import config, lesson
from utils import train as training

sys.path.insert(0, str(config.root / "tools"))
import class_copies
import execute
import rebuild_run

# --- rebuild_run ------------------------------------------------------------------------------

LOOPS = ["01_lenet", "21_speed_run"]  # with train(), and with a loop of its own


def run_to_the_end_of_training(name: str) -> dict:
    """What a notebook's cells up to its training define."""
    namespace = {"__name__": "__main__"}
    with contextlib.chdir(config.root / "notebooks"):
        for source in rebuild_run.cells_to_run(name):
            exec(compile(source, name, "exec"), namespace)
    return namespace


def epoch_lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("epoch ")]


@pytest.fixture
def published(tmp_path, monkeypatch, request):
    """A quick run of a notebook that went into a course's records, with figures to be known by."""
    name = request.param
    for folder in ("results_dir", "checkpoints_dir", "runs_dir"):
        (tmp_path / folder).mkdir()
        monkeypatch.setattr(config, folder, tmp_path / folder)
    made = run_to_the_end_of_training(name)
    net = made["net"]
    optimizer = made["optimizer"] if "optimizer" in made else made["optimizers"][0]
    test = training.evaluate(net, made["test_loader"])
    record = lesson.write_record(
        config.results_dir / f"{name}.json",
        "A network",
        net,
        made["train_loader"],
        made["history"],
        test,
        optimizer,
        made["criterion"],
        made.get("scheduler"),
    )
    record["device"] = "an old machine"
    record["by_epoch"]["seconds"] = [77.7]
    record["by_epoch"]["train_accuracy"] = [0.4321]
    (config.results_dir / f"{name}.json").write_text(json.dumps(record))
    lesson.save_weights(net, config.checkpoints_dir / f"{name}.safetensors")
    shutil.rmtree(config.runs_dir)
    return name, record, net.state_dict()


@pytest.mark.parametrize("published", LOOPS, indirect=True)
def test_a_rebuilt_run_is_printed_and_shown_as_if_it_had_just_run(published, monkeypatch, capsys):
    name, record, weights = published
    rebuild_run.rebuild(name)
    capsys.readouterr()

    monkeypatch.setattr(config, "resume", True)
    monkeypatch.setattr(training, "train_epoch", None)  # it would be called to train
    made = run_to_the_end_of_training(name)
    (line,) = epoch_lines(capsys.readouterr().out)
    assert "43.21%" in line
    assert "77.7 s" in line
    history = made["history"]
    assert (history.device, history.precision) == ("an old machine", record["precision"])
    assert history.test_loss == record["by_epoch"]["test_loss"]
    for key, tensor in made["net"].state_dict().items():
        assert torch.equal(tensor, weights[key]), key


@pytest.mark.parametrize("published", LOOPS[:1], indirect=True)
def test_a_rebuilt_run_has_all_its_learning_rates(published, monkeypatch):
    name, _, _ = published
    rebuild_run.rebuild(name)
    monkeypatch.setattr(config, "resume", True)
    made = run_to_the_end_of_training(name)
    assert len(made["history"].learning_rates[0]) == len(made["train_loader"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 2}, "2 epochs"),
        ({"learning_rates": [[0.123]]}, "recipe"),
    ],
)
@pytest.mark.parametrize("published", LOOPS[:1], indirect=True)
def test_a_notebook_that_has_changed_since_is_refused(published, change, message):
    name, record, _ = published
    by_epoch = record["by_epoch"] | {k: v for k, v in change.items() if k != "epochs"}
    changed = record | {"by_epoch": by_epoch, "epochs": change.get("epochs", 1)}
    (config.results_dir / f"{name}.json").write_text(json.dumps(changed))
    with pytest.raises(rebuild_run.RebuildError, match=message):
        rebuild_run.rebuild(name)


def test_without_a_record_there_is_nothing_to_rebuild():
    with pytest.raises(SystemExit, match="00_start_here has no record"):
        rebuild_run.main(["00_start_here"])


def test_experiments_are_left_out():
    for name in lesson.notebooks():
        cells = list(rebuild_run.cells_to_run(name))
        assert "history = " in cells[-1], name
        if name not in rebuild_run.ALSO:
            assert not any("plot." in cell for cell in cells), name


# --- execute ----------------------------------------------------------------------------------


def make_book(*cells: nbformat.NotebookNode) -> nbformat.NotebookNode:
    book = nbformat.v4.new_notebook(cells=list(cells))
    book.metadata |= {"kernelspec": {"name": "python3", "display_name": "P", "language": "python"}}
    book.metadata |= {"course": {"title": "Small"}, "widgets": {"a": 1}}
    return book


def code(cell_id: str, source: str, **fields) -> nbformat.NotebookNode:
    return nbformat.v4.new_code_cell(source, id=cell_id, **fields)


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course of one notebook, 99_small; gives a function that writes it."""
    (tmp_path / "notebooks" / "figures").mkdir(parents=True)
    monkeypatch.setattr(config, "root", tmp_path)
    monkeypatch.setattr(config, "runs_dir", tmp_path / "elsewhere")
    path = tmp_path / "notebooks" / "99_small.ipynb"

    def write(*cells: nbformat.NotebookNode) -> None:
        path.write_text(nbformat.writes(make_book(*cells)), encoding="utf-8")

    write.path = path
    return write


def test_a_notebook_is_executed_as_the_course_saves_it(course, monkeypatch, capsys):
    monkeypatch.setenv("COURSE_EPOCHS", "3")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    show = """import os, sys
names = sorted(name for name in os.environ if name.startswith(("COURSE_", "TQDM", "OMP_NUM")))
print([f"{name}={os.environ[name]}" for name in names if not name.endswith("_DIR")])
print(os.path.basename(os.getcwd()))
print("a warning", file=sys.stderr)
print(os.environ["COURSE_RUNS_DIR"] + os.sep + "checkpoint.pt")"""
    kept = [nbformat.v4.new_output("stream", name="stdout", text="dear\n")]
    dear = code("two", "1 / 0", metadata={"tags": ["a"], "scrolled": True}, outputs=kept)
    course(
        nbformat.v4.new_markdown_cell("# Small ×", id="title"),
        code("one", show),
        dear,
        code("three", "1 + 1"),
    )
    execute.main(["99_small", "--keep", "two", "--run", "short"])
    raw = course.path.read_text(encoding="utf-8")
    book = json.loads(raw)
    assert raw == json.dumps(book, indent=1, ensure_ascii=False) + "\n"
    one, two, three = book["cells"][1:]
    assert [cell["execution_count"] for cell in (one, two, three)] == [1, 2, 3]
    assert len(one["outputs"]) == 1
    assert "".join(one["outputs"][0]["text"]).splitlines() == [
        "['COURSE_DATA=official', 'COURSE_RESUME=yes', 'COURSE_RUN=short', 'TQDM_DISABLE=1']",
        "notebooks",
        "data/runs/checkpoint.pt",
    ]
    assert two["outputs"][0]["text"] == ["dear\n"]
    assert two["metadata"] == {"tags": ["a"]}
    assert three["outputs"][0]["execution_count"] == 3
    printed = capsys.readouterr().out
    assert "from stderr: a warning" in printed
    assert " s  one" in printed
    assert " s  two" not in printed


def test_of_a_notebook_some_cells_alone_are_executed(course):
    kept = [nbformat.v4.new_output("stream", name="stdout", text="dear\n")]
    course(
        code("imports", "import math"),
        code("dear", "1 / 0", outputs=kept),
        code("block", "side = 3", metadata={"tags": ["network"]}),
        code("shape", "print(math.prod((side, side)))"),
        code("define", "1 / 0"),
    )
    execute.main(["99_small", "--only", "shape"])
    cells = json.loads(course.path.read_text(encoding="utf-8"))["cells"]
    outputs = {cell["id"]: cell["outputs"] for cell in cells}
    assert outputs["dear"][0]["text"] == ["dear\n"]
    assert outputs["shape"][0]["text"] == ["9\n"]
    assert outputs["define"] == []
    assert [cell["execution_count"] for cell in cells] == [1, 2, 3, 4, 5]


def test_jupyterlab_finds_nothing_to_add_to_an_executed_notebook(course):
    """It replaces `language_info` by its kernel's, and calls the tab unsaved if they differ."""
    course(code("one", "1"))
    execute.main(["99_small"])
    metadata = json.loads(course.path.read_text(encoding="utf-8"))["metadata"]
    assert set(metadata) == {"course", "kernelspec", "language_info"}
    assert set(metadata["language_info"]) == {
        *("codemirror_mode", "file_extension", "mimetype", "name"),
        *("nbconvert_exporter", "pygments_lexer", "version"),
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["99_small", "--keep", "one"], "one of 99_small has no outputs"),
        (["99_small", "--keep", "four"], "no code cell four"),
        (["99_small", "--only", "four"], "no code cell four"),
        (["99_small"], "ZeroDivisionError(.|\n)*99_small was left as it was"),
        (["98_none"], "no notebook 98_none"),
    ],
)
def test_what_cannot_be_executed_stays_as_it_was(course, arguments, message):
    course(code("one", "1 / 0"))
    before = course.path.read_bytes()
    with pytest.raises(SystemExit, match=message):
        execute.main(arguments)
    assert course.path.read_bytes() == before


# --- class_copies -----------------------------------------------------------------------------


def test_copies_for_a_class_have_no_outputs_and_nothing_of_our_run(course, tmp_path, capsys):
    (tmp_path / "notebooks" / "figures" / "99_small.png").write_bytes(b"a drawing")
    ours = nbformat.v4.new_markdown_cell(
        "**What our run shows.** 9", metadata={"tags": ["our-run"]}
    )
    outputs = [nbformat.v4.new_output("stream", text="9\n")]
    course(
        nbformat.v4.new_markdown_cell("# Small ×", id="title"),
        code("one", "9", outputs=outputs, execution_count=1, metadata={"tags": ["network"]}),
        ours,
        code("two", "8"),
    )
    shutil.copy(course.path, course.path.with_name("99_small-Copy1.ipynb"))
    class_copies.main([str(tmp_path / "class")])
    assert capsys.readouterr().out.startswith("1 notebook in ")
    copies = tmp_path / "class" / "notebooks"
    assert sorted(p.name for p in copies.iterdir()) == ["99_small.ipynb", "figures"]
    assert (copies / "figures" / "99_small.png").read_bytes() == b"a drawing"
    before = nbformat.read(course.path, as_version=4)
    copy = nbformat.read(copies / "99_small.ipynb", as_version=4)
    assert [cell.id for cell in copy.cells] == ["title", "one", "two"]
    for cell in copy.cells[1:]:
        assert cell.outputs == []
        assert cell.execution_count is None
    assert copy.metadata == before.metadata
    assert copy.cells[0] == before.cells[0]
    assert copy.cells[1].source == "9"
    assert copy.cells[1].metadata == {"tags": ["network"]}


def test_the_courses_own_notebooks_are_never_overwritten(course, tmp_path, capsys):
    course(code("one", "1", outputs=[nbformat.v4.new_output("stream", text="1\n")]))
    before = course.path.read_bytes()
    for arguments in ([str(tmp_path)], [str(tmp_path / "class"), "98_none"]):
        with pytest.raises(SystemExit):
            class_copies.main(arguments)
    assert course.path.read_bytes() == before
    assert "98_none" in capsys.readouterr().err
