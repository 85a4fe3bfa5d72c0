"""A notebook as a program: its numbers, figures in files, and a clear end when something fails.

The runs under torchrun are real: two processes, gloo. What needs deaths of processes is by hand.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from utils import config, script

MAGIC = """%matplotlib inline
%time value = 6 * 7
listing = !ls
!echo one \\
    two
print("φ", value, len(listing) > 0, os.getcwd() == os.path.dirname(sys.argv[0]))"""
VALUES = """display("shown")
type("A", (), {}).__module__, __name__"""
FIGURES = """plt.plot([1, 2])
plt.show()
plt.plot([2, 1]);"""
IMPORTS = """import os
import signal
import sys
import matplotlib.pyplot as plt"""
PARTS = """import torch
from torch import nn
from utils import config
from utils.data import Batches, ImageSet
from utils.train import train

torch.manual_seed(1)
labels = torch.arange(48) % 3
images = (labels[:, None, None, None] * 50 + torch.randint(100, (48, 3, 8, 8))).to(torch.uint8)
image_set = ImageSet(images, labels, ("a", "b", "c"), "x", (0.5,) * 3, (0.25,) * 3)
loader, tests = Batches(image_set, 8, shuffle=True, flip=True), Batches(image_set, 16)
layers = nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 3)
net = nn.Sequential(*layers)
folder, calls = config.run_folder("small", loader.name), 0
rank, restart = os.environ.get("RANK", "0"), os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")

def criterion(logits, labels):  # in the third epoch there is trouble
    global calls
    calls += 1
    if calls == 15 and os.environ.get("TROUBLE") == "kill" and (rank, restart) == ("1", "0"):
        os.kill(os.getpid(), signal.SIGKILL)
    if calls == 15 and os.environ.get("TROUBLE") == "stop":
        os.kill(os.getpid(), signal.SIGINT)
    if calls == 15 and os.environ.get("TROUBLE") in (rank, "all"):
        raise ValueError("a mistake of the reader")
    return nn.functional.cross_entropy(logits, labels)

optimizer = torch.optim.SGD(net.parameters(), 0.05, momentum=0.9)"""
TRAIN = """path = folder / "checkpoint.pt"
history = train(net, loader, tests, 4, optimizer, criterion, None, path)"""
AFTER = """print("steps", calls)
print("numbers", *history.train_loss, *history.test_loss)
plt.plot(history.train_loss);"""
SMALL = {"imports": IMPORTS, "parts": PARTS, "train": TRAIN, "after": AFTER}
TWO = ("--nproc-per-node=2",)


def write(path: Path, **cells: str) -> Path:
    """A notebook of these code cells."""
    cells = [{"cell_type": "code", "id": name, "source": source} for name, source in cells.items()]
    cells.insert(0, {"cell_type": "markdown", "source": "Prose"})
    path.write_text(
        json.dumps({"cells": cells, "nbformat": 4, "nbformat_minor": 5}), encoding="utf-8"
    )
    return path


class Run:
    """A run of the program, finished; `launcher` are options of torchrun."""

    def __init__(
        self, folder: Path, cells: dict, *options: str, launcher=(), **variables: str
    ) -> None:
        (folder / "tmp").mkdir(parents=True, exist_ok=True)
        program = ["-m", "utils.script", str(write(folder / "small.ipynb", **cells)), *options]
        if launcher:
            program = ["-m", "torch.distributed.run", "--standalone", *launcher, *program]
        own = {
            "COURSE_RUNS_DIR": str(folder / "runs"),
            "COURSE_DEVICE": "cpu",
            "OMP_NUM_THREADS": "1",
        }
        start, command = time.monotonic(), [sys.executable, *program]
        environment = os.environ | own | {"TMPDIR": str(folder / "tmp")} | variables
        done = subprocess.run(
            command, cwd=config.root, env=environment, capture_output=True, timeout=300
        )
        self.status, self.seconds = done.returncode, time.monotonic() - start
        self.printed, self.errors = done.stdout.decode(), done.stderr.decode()
        self.figures = folder / "runs" / "quick" / "small" / "figures"
        self.left = [*(folder / "tmp").glob("course-run-*"), *(folder / "tmp").glob(".ipython")]

    def numbers(self) -> list[float]:
        """Four training losses, four test losses."""
        assert self.printed.count("numbers") == 1, self.printed + self.errors
        return [float(number) for number in re.search(r"numbers (.*)", self.printed)[1].split()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("small")


@pytest.fixture(scope="module")
def stopped(folder) -> Run:
    """Stopped by Ctrl-C in the third epoch."""
    return Run(folder, SMALL, TROUBLE="stop")


@pytest.fixture(scope="module")
def two(folder, stopped) -> Run:
    """Two processes that go on from there."""
    return Run(folder, SMALL, "--resume", launcher=TWO)


@pytest.fixture(scope="module")
def numbers(tmp_path_factory, one_thread) -> list[float]:
    """Those of a training here that is never stopped."""
    space: dict = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config, "runs_dir", tmp_path_factory.mktemp("runs"))
        patch.setattr(config, "device", "cpu")
        for source in (IMPORTS, PARTS, TRAIN):
            exec(source, space)
    return space["history"].train_loss + space["history"].test_loss


def test_magics_values_and_figures(tmp_path):
    """With a pipe of Windows' encoding, a wrong MPLBACKEND, and an error of the course."""
    cells = {"imports": IMPORTS, "magic": MAGIC, "values": VALUES, "figures": FIGURES}
    cells["error"] = "from utils.data import load_folder\nload_folder('nowhere')"
    own = {"PYTHONIOENCODING": "cp1252", "MPLBACKEND": "nonsense", "HOME": str(tmp_path / "tmp")}
    run = Run(tmp_path, cells, **own, PYTHONUTF8="0")
    assert "one two" in run.printed
    assert "φ 42 True True" in run.printed
    assert "shown" in run.printed
    assert "('__main__', '__main__')" in run.printed
    assert "matplotlib.lines" not in run.printed  # the last line ends in a semicolon
    assert sorted(path.name for path in run.figures.iterdir()) == ["figures.png", "figures_2.png"]
    assert run.status == 1
    assert re.fullmatch(
        r"The cell error of small failed\. .*nowhere.*\n", run.errors
    )  # and no traceback
    assert run.left == []  # nothing in the user's home, either


def test_ctrl_c_ends_it_and_it_goes_on_with_resume_in_two_processes(stopped, two, numbers):
    assert stopped.status == 130
    assert "Stopped in epoch 3" in stopped.printed
    assert "steps" not in stopped.printed  # later cells did not run
    assert "--resume" in stopped.errors
    assert two.status == 0, two.errors
    assert two.numbers() == pytest.approx(numbers, abs=1e-6)
    assert "steps 12\n" in two.printed  # the last two epochs alone


def test_only_the_first_of_two_processes_prints_and_keeps_files(two, folder):
    assert two.printed.count("images/s") == 4
    assert [path.name for path in two.figures.iterdir()] == ["after.png"]
    assert (
        len([path for path in (folder / "runs").rglob("checkpoint.pt") if "kept" not in path.parts])
        == 1
    )
    assert two.left == []


def test_the_process_that_fails_is_named(tmp_path):
    run = Run(tmp_path, SMALL, launcher=TWO, TROUBLE="1")
    assert run.status != 0
    assert run.seconds < 100  # and not the ten minutes that a lost process is waited for
    assert run.errors.startswith("Traceback")
    assert 'File "<small, cell parts>"' in run.errors
    assert re.search(
        r"Root Cause.*rank +: 1 .*ValueError: a mistake of the reader", run.errors, re.DOTALL
    )
    assert run.left == []


@pytest.mark.by_hand
def test_a_mistake_that_all_make_is_told_once(tmp_path):
    run = Run(tmp_path, SMALL, launcher=TWO, TROUBLE="all")
    assert run.status != 0
    assert (
        run.errors.count("\nThe cell train of small failed") == 1
    )  # and once more, indented, by torchrun
    assert re.search(r"Root Cause.*rank +: 0 ", run.errors, re.DOTALL)


@pytest.mark.by_hand
def test_a_killed_process_is_named(tmp_path):
    run = Run(tmp_path, SMALL, launcher=TWO, TROUBLE="kill")
    assert (run.status != 0, run.seconds < 100) == (True, True)
    assert re.search(r"Root Cause.*rank +: 1 .*Signal 9", run.errors, re.DOTALL)
    assert "The cell" not in run.errors  # the other process only lost it
    assert list((tmp_path / "runs").rglob("checkpoint.pt"))


@pytest.mark.by_hand
def test_a_restart_goes_on_from_the_last_checkpoint(tmp_path, numbers):
    run = Run(tmp_path, SMALL, launcher=(*TWO, "--max-restarts=1"), TROUBLE="kill")
    assert run.status == 0, run.errors
    assert "exitcode: -9" in run.errors
    assert run.numbers() == pytest.approx(numbers, abs=1e-6)
    assert "steps 12\n" in run.printed


@pytest.mark.by_hand
@pytest.mark.parametrize(
    ("option", "setting"), [("--resume", "fast"), ("--sync-batch-norm", "quick")]
)
def test_a_wrong_setting_is_one_sentence(tmp_path, option, setting):
    run = Run(tmp_path, SMALL, option, COURSE_RUN=setting)
    assert (run.status, run.printed, run.errors.count("\n")) == (1, "", 1)
    assert ("COURSE_RUN" if setting == "fast" else "--sync-batch-norm") in run.errors


def test_notebooks_are_found_by_path_and_by_name():
    expected = config.root / "notebooks" / "10_mobilenet_v2.ipynb"
    for name in (expected, "10_mobilenet_v2", "10_mobilenet_v2.ipynb"):
        assert script.notebook(str(name))[0] == expected
    with pytest.raises(argparse.ArgumentTypeError, match="00_start_here"):
        script.notebook("99_none")


def test_copies_are_not_offered_and_old_notebooks_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(script, "FOLDER", tmp_path)
    for name in ("10_net", "10_net-Copy1", "10_net (1)"):
        write(tmp_path / f"{name}.ipynb", only="x = 1")
    with pytest.raises(argparse.ArgumentTypeError, match="or one of 10_net\\.$"):
        script.notebook("99_none")
    assert script.notebook("10_net-Copy1")[1] == {"only": "x = 1"}, "asked for, a copy runs"
    (tmp_path / "old.ipynb").write_text('{"worksheets": [], "nbformat": 3}')
    with pytest.raises(argparse.ArgumentTypeError, match="JupyterLab"):
        script.notebook("old")


@pytest.mark.parametrize(
    ("name", "status", "word"), [("--help", 0, "--resume"), ("99_none", 2, "99_none")]
)
def test_help_and_a_wrong_name_do_not_wait_for_torch(name, status, word):
    program = f"import sys; sys.modules['torch'] = None; sys.argv[1:] = ['{name}']; "
    program += "from utils import script; script.main()"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=config.root, capture_output=True, text=True
    )
    assert done.returncode == status
    assert word in done.stdout + done.stderr
