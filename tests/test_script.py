"""A notebook as a program: the numbers of Jupyter, figures in files, and one clear message when something fails.

The runs under torchrun are real: two processes, gloo, and a worker that is killed.
"""

import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
import torch
from nbclient import NotebookClient

from utils import config, script

MESSAGES = re.compile(r"^Process \d of 2: ", re.MULTILINE)

IMPORTS = f"""%matplotlib inline
import sys
sys.path.insert(0, {str(config.root)!r})
import os
import signal

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.utils.tensorboard import SummaryWriter

from utils import config
from utils.checkpoint import load_weights, save_weights
from utils.data import Batches, ImageSet
from utils.train import evaluate, train

folder = config.run_folder("small")
"""
PARTS = """torch.manual_seed(1)
labels = torch.arange(41) % 3
images = labels[:, None, None, None] * 50 + torch.randint(100, (41, 3, 8, 8))
image_set = ImageSet(images.to(torch.uint8), labels, ("a", "b", "c"), "x", (0.5,) * 3, (0.25,) * 3)
loader, tests = Batches(image_set, 8, shuffle=True, crop_padding=1, flip=True), Batches(image_set, 16)


def make_net():
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 3))


net, calls, rank = make_net(), 0, os.environ.get("RANK", "0")
start = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
trouble = os.environ.get("TROUBLE", "") if start == "0" else ""


def criterion(logits, labels):
    global calls
    if logits.requires_grad:  # a training step
        calls += 1
        if calls == 15 and trouble == "kill" and rank == "1":
            os.kill(os.getpid(), signal.SIGKILL)
        if calls == 15 and trouble == "stop":
            os.kill(os.getpid(), signal.SIGINT)
        if calls == 15 and trouble in (rank, "both"):
            raise ValueError("a mistake of the reader")
    return nn.functional.cross_entropy(logits, labels)


optimizer = torch.optim.SGD(net.parameters(), 0.05, momentum=0.9)
"""
TRAIN = """writer = SummaryWriter(folder / "tensorboard")
history = train(net, loader, tests, 4, optimizer, criterion, None, folder / "checkpoint.pt", writer)
writer.close()
"""
AFTER = """save_weights(net, folder / "weights.pt")
loaded = make_net()
load_weights(loaded, folder / "weights.pt")
print("numbers", history.train_loss, history.test_loss, evaluate(loaded, tests).loss)
print("training steps", calls)
plt.plot(history.train_loss)
plt.show()
plt.plot(history.test_loss);
"""


def write(path: Path, **sources: str) -> Path:
    cells = [nbformat.v4.new_markdown_cell("Prose")]
    cells += [nbformat.v4.new_code_cell(source, id=name) for name, source in sources.items()]
    book = nbformat.v4.new_notebook(cells=cells)
    book.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(book, path)
    return path


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """A notebook that trains a small network for four epochs of six steps; the last batch has one image."""
    path = tmp_path_factory.mktemp("notebook") / "small.ipynb"
    return write(path, imports=IMPORTS, parts=PARTS, train=TRAIN, after=AFTER)


class Run:
    """A run of the program, finished: its status, what it printed, and its folder."""

    def __init__(
        self, notebook: Path | str, folder: Path, processes: int = 1, *options: str, **variables: str
    ) -> None:
        program, launcher = ["-m", "utils.script", str(notebook)], []
        if processes > 1:
            launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
            launcher += [option for option in options if option.startswith("--max-restarts")]
        own = [option for option in options if not option.startswith("--max-restarts")]
        (folder / "tmp").mkdir(parents=True, exist_ok=True)
        environment = os.environ | {
            "COURSE_RUN": "quick",
            "COURSE_RUNS_DIR": str(folder / "runs"),
            "COURSE_DEVICE": "cpu",
            "OMP_NUM_THREADS": "1",
            "TMPDIR": str(folder / "tmp"),
        }
        begin = time.monotonic()
        done = subprocess.run(
            [sys.executable, *launcher, *program, *own],
            cwd=config.root,
            env=environment | variables,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        self.seconds = time.monotonic() - begin
        self.status, self.printed, self.errors = done.returncode, done.stdout, done.stderr
        self.folder = folder / "runs" / "quick" / "small"
        self.left = list((folder / "tmp").glob("course-run-*"))

    def numbers(self) -> list[float]:
        """Four training losses, four test losses, the loss of the loaded weights."""
        line = re.search(r"^numbers (.*)$", self.printed, re.MULTILINE)
        assert line, self.printed + self.errors
        return [float(number) for number in re.findall(r"\d+\.\d+(?:e-\d+)?", line[1])]

    def messages(self) -> int:
        """How many of the processes said why they ended."""
        return len(MESSAGES.findall(self.errors))


@pytest.fixture(scope="module")
def one(small, tmp_path_factory) -> Run:
    return Run(small, tmp_path_factory.mktemp("one"))


@pytest.fixture(scope="module")
def two(small, tmp_path_factory) -> Run:
    return Run(small, tmp_path_factory.mktemp("two"), 2)


def steps(run: Run) -> int:
    return int(re.search(r"^training steps (\d+)$", run.printed, re.MULTILINE)[1])


# --- one process ----------------------------------------------------------------------------------------------


def test_a_program_has_the_numbers_of_jupyter(one, small, tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_RUNS_DIR", str(tmp_path))
    monkeypatch.setenv("COURSE_DEVICE", "cpu")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    book = nbformat.read(small, as_version=4)
    NotebookClient(book, timeout=120, kernel_name="python3").execute()
    shown = "".join(output.get("text", "") for output in book.cells[-1].outputs)
    line = re.search(r"^numbers .*$", shown, re.MULTILINE)[0]
    assert one.status == 0
    assert re.search(r"^numbers .*$", one.printed, re.MULTILINE)[0] == line  # to the last digit
    assert one.errors == ""


def test_what_it_prints_and_writes(one):
    assert (
        "Left out of the cell imports, since only Jupyter understands it: %matplotlib inline" in one.printed
    )
    assert one.printed.count("images/s") == 4
    assert "\r" not in one.printed  # progress bars are for terminals
    assert "Figures: 2, in " in one.printed
    assert "matplotlib.lines" not in one.printed  # the last line of the last cell ends in a semicolon
    assert sorted(p.name for p in (one.folder / "figures").iterdir()) == ["after.png", "after_2.png"]
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in (one.folder / "figures").iterdir())


def test_an_error_is_shown_with_its_cell_and_without_the_runner(small, tmp_path):
    run = Run(small, tmp_path, TROUBLE="0")
    assert run.status == 1
    assert run.errors.startswith("The cell train of small failed.\n")
    assert 'File "<small, cell train>", line 2, in <module>\n    history = train(net, loader' in run.errors
    assert 'File "<small, cell parts>", line 26, in criterion' in run.errors
    assert run.errors.endswith("ValueError: a mistake of the reader\n")
    assert "script.py" not in run.errors
    assert "runpy" not in run.errors


def test_ctrl_c_ends_it_with_a_line_and_it_goes_on_with_resume(small, one, tmp_path):
    run = Run(small, tmp_path, TROUBLE="stop")
    assert run.status == 130
    assert run.errors == (
        "Stopped in the cell train; with --resume, train() goes on from its last checkpoint.\n"
    )
    assert "Stopped in epoch 3, batch 3: the history holds 2 finished epochs." in run.printed
    assert "training steps" not in run.printed  # later cells did not run
    resumed = Run(small, tmp_path, 1, "--resume", f"--figures={tmp_path / 'elsewhere'}")
    assert resumed.numbers() == one.numbers()
    assert steps(resumed) == 12
    assert (tmp_path / "elsewhere" / "after.png").exists()


# --- two processes --------------------------------------------------------------------------------------------


def test_two_processes_give_the_losses_of_one(one, two):
    assert two.status == 0, two.errors
    assert two.numbers() == pytest.approx(one.numbers(), abs=1e-5)
    assert steps(two) == steps(one) == 24


def test_only_the_first_of_two_processes_prints_and_keeps_files(one, two):
    assert two.printed.startswith("small in 2 processes, each with its share of every batch.\n")
    assert two.printed.count("images/s") == 4
    assert two.printed.count("numbers") == 1
    assert two.messages() == 0
    names = [sorted(p.name for p in run.folder.iterdir()) for run in (one, two)]
    assert names[0] == names[1] == ["checkpoint.pt", "figures", "tensorboard", "weights.pt"]
    assert len(list((two.folder / "tensorboard").iterdir())) == 1
    assert len(list((two.folder / "figures").iterdir())) == 2
    assert two.left == []


def test_weights_of_two_processes_have_the_names_of_one(one, two):
    for name in ("checkpoint.pt", "weights.pt"):
        ours, theirs = (torch.load(run.folder / name, weights_only=True) for run in (one, two))
        assert list(ours.get("net", ours)) == list(theirs.get("net", theirs))


def test_a_killed_process_ends_the_run_with_one_message(small, tmp_path):
    run = Run(small, tmp_path, 2, TROUBLE="kill")
    assert run.status != 0
    assert run.seconds < 150  # and not the ten minutes that a lost process is waited for
    assert run.messages() == 1, run.errors
    assert re.search(
        r"^Process 0 of 2: Another process has died.*--resume to go on from the last checkpoint",
        run.errors,
        re.M,
    )
    assert "Signal 9 (SIGKILL)" in run.errors  # torchrun's own report tells which
    assert "small, cell" not in run.errors  # no traceback from the process that only lost the other
    assert (run.folder / "checkpoint.pt").exists()
    assert not list(run.folder.rglob("*.tmp"))


def test_a_restart_goes_on_from_the_last_checkpoint(small, two, tmp_path):
    run = Run(small, tmp_path, 2, "--max-restarts=1", TROUBLE="kill")
    assert run.status == 0, run.errors
    assert run.messages() == 1, run.errors
    assert "All start again (restart 1 of 1) and go on from the last checkpoint." in run.errors
    assert "A restart: going on from the last checkpoint." in run.printed
    assert "Going on after epoch 2 of 4" in run.printed
    assert steps(run) == 12  # epochs 3 and 4 alone, of six steps
    assert run.numbers() == two.numbers()


@pytest.mark.parametrize("trouble", ["1", "both"])
def test_an_error_is_told_by_one_process(small, tmp_path, trouble):
    run = Run(small, tmp_path, 2, TROUBLE=trouble)
    assert run.status != 0
    assert run.seconds < 150  # and not the ten minutes that a lost process is waited for
    assert run.messages() == 1, run.errors
    assert run.errors.count("ValueError: a mistake of the reader") == 1
    assert "The cell train of small failed." in run.errors
    assert "script.py" not in run.errors


@pytest.mark.by_hand
def test_two_launchers_meet_as_two_machines_do_and_both_restart(small, two, tmp_path):
    """The launcher whose process was killed counts a restart and the other does not: all have to go on all the same."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launcher = [
        "--nnodes=2",
        "--nproc-per-node=1",
        "--max-restarts=3",
        "--rdzv-backend=c10d",
        "--rdzv-id=test",
    ]
    launcher += [f"--rdzv-endpoint=localhost:{port}", "-m", "utils.script", str(small)]
    own = {
        "COURSE_RUNS_DIR": str(tmp_path),
        "COURSE_DEVICE": "cpu",
        "TROUBLE": "kill",
        "OMP_NUM_THREADS": "1",
    }
    machines = [
        subprocess.Popen(
            [sys.executable, "-m", "torch.distributed.run", *launcher],
            cwd=config.root,
            env=os.environ | own,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    try:
        found = [machine.communicate(timeout=300) for machine in machines]
    finally:
        for machine in machines:
            machine.terminate()  # it ends its workers; nothing happens if it has ended itself
            machine.wait(40)
    printed, errors = ("".join(parts) for parts in zip(*found, strict=True))
    assert [machine.returncode for machine in machines] == [0, 0], errors
    assert MESSAGES.findall(
        errors
    )  # more than one if a process first looks for one that has died, and starts again
    assert "Going on after epoch 2 of 4" in printed
    numbers = re.search(r"^numbers .*$", printed, re.MULTILINE)[0]
    assert numbers == re.search(r"^numbers .*$", two.printed, re.MULTILINE)[0]


def test_a_notebook_of_the_course_runs_in_two_processes(tmp_path):
    run = Run("00_start_here", tmp_path, 2, COURSE_DATA="sample")
    assert run.status == 0, run.errors
    assert run.printed.count("images/s") == 1
    assert "my_pictures: 16 training images, 8 test images, 2 classes." in run.printed
    assert "Figures: 6" in run.printed


# --- the pieces -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "expected", "left_out"),
    [
        ("x = 1\ny = 2", "x = 1\ny = 2", []),
        ("%matplotlib inline\nx = 1", "pass\nx = 1", ["%matplotlib inline"]),
        ("if True:\n    !pip install x\n    y = 1", "if True:\n    pass\n    y = 1", ["!pip install x"]),
        ("x = 1\nx?\n?x\n", "x = 1\npass\npass\n", ["x?", "?x"]),
        ("x = (7\n% 4)", "x = (7\n% 4)", []),
        ('s = """\n%time\n!ls\n"""', 's = """\n%time\n!ls\n"""', []),
        ("%%time\nx = 1", "pass\nx = 1", ["%%time"]),
        ("%%bash\nls -l", "pass", ["%%bash"]),
        ("x = = 1", "x = = 1", []),
        ("", "", []),
    ],
)
def test_lines_for_jupyter_are_left_out(source, expected, left_out):
    assert script.without_magics(source) == (expected, left_out)


@pytest.mark.parametrize(
    ("source", "printed"),
    [
        ("x = 3\nx", "3\n"),
        ("x = 3\nx;", ""),
        ("None", ""),
        ("'text'", "'text'\n"),
        ("print(1)\ndisplay(2)", "1\n2\n"),
        ("for i in range(2):\n    i", ""),
        ("class A:\n    pass\nA.__module__, __name__", "('__main__', '__main__')\n"),
    ],
)
def test_the_last_expression_of_a_cell_is_printed(capsys, source, printed):
    module = ModuleType("__main__")
    module.display = print
    script.run_cell(script.Cell("x", source), "book", module)
    assert capsys.readouterr().out == printed


def test_an_error_of_the_course_is_a_place_and_a_sentence():
    module = ModuleType("__main__")
    source = (
        "from utils.checkpoint import load_weights\n\n\ndef f():\n    load_weights(None, 'no.pt')\n\n\nf()"
    )
    with pytest.raises(ValueError, match="no file") as caught:
        script.run_cell(script.Cell("load", source), "book", module)
    text = script.explain(caught.value, "book", "load")
    places = re.findall(r'File "(.*)", line (\d+)', text)
    assert places == [("<book, cell load>", "8"), ("<book, cell load>", "5")]
    assert text.splitlines()[0] == "The cell load of book failed."
    assert text.splitlines()[-1].startswith("utils.checkpoint.CheckpointError: There is no file no.pt")


def test_a_syntax_error_is_shown_in_its_cell():
    with pytest.raises(SyntaxError) as caught:
        script.run_cell(script.Cell("slip", "x = 1\ny = = 2"), "book", ModuleType("__main__"))
    assert 'File "<book, cell slip>", line 2\n    y = = 2' in script.explain(caught.value, "book", "slip")


def test_notebooks_are_found_by_path_and_by_name():
    expected = config.root / "notebooks" / "10_mobilenet_v2.ipynb"
    for name in (expected, "10_mobilenet_v2", "10_mobilenet_v2.ipynb"):
        assert script.find(str(name)) == expected
    with pytest.raises(
        ValueError, match=r"There is no notebook 99_none: give its path, or one of 00_start_here, "
    ):
        script.find("99_none")


def test_what_is_no_notebook_is_refused(tmp_path):
    for content in ("# a program", "[1]", json.dumps({"cells": [{"source": 3}]})):
        (tmp_path / "x.ipynb").write_text(content, encoding="utf-8")
        with pytest.raises(ValueError, match=r"x.ipynb is no notebook"):
            script.read_cells(tmp_path / "x.ipynb")


def test_cells_of_old_notebooks_have_numbers(tmp_path):
    cells = [
        {"cell_type": "markdown", "source": "text"},
        {"cell_type": "code", "source": ["x = 1\n", "x"]},
        {"cell_type": "code", "source": "y", "id": "named"},
    ]
    (tmp_path / "x.ipynb").write_text(json.dumps({"cells": cells}), encoding="utf-8")
    assert script.read_cells(tmp_path / "x.ipynb") == [("number 2", "x = 1\nx"), ("named", "y")]


def test_help_lists_the_options_and_all_variables(capsys):
    with pytest.raises(SystemExit) as caught:
        script._arguments(["--help"])
    text = capsys.readouterr().out
    assert caught.value.code == 0
    for word in (*config.VARIABLES, "--figures", "--resume", "--sync-batch-norm", "--timeout", "torchrun"):
        assert word in text


def test_a_wrong_name_is_one_sentence(capsys):
    with pytest.raises(SystemExit) as caught:
        script._arguments(["99_none"])
    assert caught.value.code == 2
    assert "There is no notebook 99_none" in capsys.readouterr().err.splitlines()[-1]


def test_a_wrong_setting_is_one_sentence(tmp_path):
    run = Run("00_start_here", tmp_path, COURSE_RUN="fast")
    assert run.status == 1
    assert run.errors == "COURSE_RUN=fast is not known: set it to full or short or quick, or unset it.\n"
