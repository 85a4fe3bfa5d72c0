"""Files of weights and checkpoints: written whole or not at all, read without running anything, resumed exactly."""

import errno
import functools
import io
import json
import mmap
import os
import pickle
import random
import re
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

import utils.checkpoint as files
import utils.train as module
from utils import config
from utils.checkpoint import CheckpointError, load_weights, save_weights
from utils.data import Batches, ImageSet
from utils.train import TrainingError

try:
    import resource as limits
except ImportError:  # Windows; the tests that need it are skipped there
    limits = None

pytestmark = pytest.mark.usefixtures("one_thread")
train = functools.partial(module.train, device="cpu", verbose=False)
EPOCHS, BATCHES = 4, 5


def make_net(classes: int = 3, width: int = 6) -> nn.Sequential:
    """Convolution, batch norm and dropout: weights, running averages and random numbers."""
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(4 * width, classes),
    )


def make_loaders() -> tuple[Batches, Batches]:
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(256, (40, 3, 8, 8), dtype=torch.uint8, generator=generator)
    labels = torch.arange(40) % 3
    image_set = ImageSet(images, labels, ("a", "b", "c"), "noise", (0.5,) * 3, (0.25,) * 3)
    train_loader = Batches(image_set, 8, shuffle=True, crop_padding=1, flip=True, cutout=3, device="cpu")
    return train_loader, Batches(image_set.subset(torch.arange(15)), 6, device="cpu")


def same(first, second) -> bool:
    """Whether two state dicts, histories, ... hold the same numbers, bit for bit."""
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return first == second


# --- resume ---------------------------------------------------------------------------------------------------

SETUPS = {
    "OneCycle": (
        lambda net: torch.optim.SGD(net.parameters(), 0.1, momentum=0.9, nesterov=True, weight_decay=1e-3),
        lambda optimizer: lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=EPOCHS * BATCHES),
    ),
    "no scheduler": (lambda net: torch.optim.AdamW(net.parameters(), 0.01), lambda optimizer: None),
    "Step": (lambda net: torch.optim.RMSprop(net.parameters(), 0.01), lambda o: lr_scheduler.StepLR(o, 1)),
    "MultiStep": (
        lambda net: torch.optim.SGD(net.parameters(), 0.1),
        lambda o: lr_scheduler.MultiStepLR(o, [1, 3]),
    ),
    "Plateau": (
        lambda net: torch.optim.SGD(net.parameters(), 0.1),
        lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=0, threshold=0.5),
    ),
    "Sequential": (
        lambda net: torch.optim.SGD(net.parameters(), 0.1),
        lambda o: lr_scheduler.SequentialLR(
            o, [lr_scheduler.LinearLR(o), lr_scheduler.CosineAnnealingLR(o, 3)], [1]
        ),
    ),
    "Lambda": (
        lambda net: torch.optim.SGD(net.parameters(), 0.1),
        lambda o: lr_scheduler.LambdaLR(o, lambda epoch: 0.8**epoch),
    ),
    "Cyclic": (
        lambda net: torch.optim.SGD(net.parameters(), 0.1, momentum=0.9),
        lambda o: lr_scheduler.CyclicLR(o, 0.01, 0.1, step_size_up=3),
    ),
    "numbers of NumPy": (
        lambda net: torch.optim.SGD(net.parameters(), np.logspace(-2, -1, 3)[1], momentum=np.float32(0.5)),
        lambda o: lr_scheduler.OneCycleLR(o, np.float64(0.1), total_steps=EPOCHS * BATCHES),
    ),
}


class Run:
    """One training of `EPOCHS` epochs, as a new process would start it."""

    def __init__(self, setup: str, path: Path | None = None) -> None:
        torch.manual_seed(7)
        make_optimizer, make_scheduler = SETUPS[setup]
        self.net, self.path = make_net(), path
        self.optimizer = make_optimizer(self.net)
        self.scheduler = make_scheduler(self.optimizer)
        self.train_loader, self.test_loader = make_loaders()

    def train(self, **options) -> module.History:
        return train(
            self.net,
            self.train_loader,
            self.test_loader,
            **{"epochs": EPOCHS} | options,
            optimizer=self.optimizer,
            criterion=nn.CrossEntropyLoss(),
            scheduler=self.scheduler,
            save_path=self.path,
        )

    def stop_in(self, epoch: int, batch: int) -> "Run":
        """Let Ctrl-C be pressed when this batch has been prepared."""
        prepare, count = self.train_loader.prepare, 0

        def interrupt(images):
            nonlocal count
            count += 1
            if count == (epoch - 1) * BATCHES + batch:
                raise KeyboardInterrupt
            return prepare(images)

        self.train_loader.prepare = interrupt
        return self

    def outcome(self, history: module.History) -> dict:
        figures = {name: values for name, values in vars(history).items() if "second" not in name}
        scheduler = self.scheduler.state_dict() if self.scheduler else None
        return {
            "net": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "learning rate now": [group["lr"] for group in self.optimizer.param_groups],
            "scheduler": {k: v for k, v in (scheduler or {}).items() if isinstance(v, int | float | list)},
            "history": figures,
            "random": torch.get_rng_state(),
        }


@functools.cache
def never_stopped(setup: str) -> dict:
    run = Run(setup)
    return run.outcome(run.train())


@pytest.mark.parametrize("setup", SETUPS)
@pytest.mark.parametrize("epoch", range(1, EPOCHS + 1))
def test_a_resumed_run_ends_with_the_numbers_of_one_that_was_never_stopped(tmp_path, capsys, setup, epoch):
    path = tmp_path / "net.pt"
    expected = never_stopped(setup)
    first = Run(setup, path)
    history = first.stop_in(epoch, batch=1 + epoch % BATCHES).train()
    assert len(history) == epoch - 1
    assert path.exists() == (epoch > 1)

    torch.rand(3)
    second = Run(setup, path)
    torch.rand(5)
    if epoch == 1:
        torch.manual_seed(7)  # nothing was saved: as from the start
        second = Run(setup, path)
    outcome = second.outcome(second.train(resume=True))
    for part in expected:
        assert same(expected[part], outcome[part]), part


def test_stopping_many_times_changes_nothing(tmp_path):
    run = Run("OneCycle", tmp_path / "net.pt")
    run.stop_in(2, 3).train()
    for epoch in (3, 4):
        run = Run("OneCycle", tmp_path / "net.pt")
        history = run.stop_in(2, 2).train(resume=True)
        assert len(history) == epoch - 1
    run = Run("OneCycle", tmp_path / "net.pt")
    assert same(run.outcome(run.train(resume=True)), never_stopped("OneCycle"))


def test_the_cell_can_be_run_again_in_the_same_notebook(tmp_path):
    """Net, optimizer and scheduler are where Ctrl-C left them, in the middle of an epoch."""
    run = Run("OneCycle", tmp_path / "net.pt")
    run.stop_in(3, 4).train()
    assert same(run.outcome(run.train(resume=True)), never_stopped("OneCycle"))


def test_a_finished_run_is_not_trained_further(tmp_path, capsys):
    run = Run("OneCycle", tmp_path / "net.pt")
    history = run.train()
    before = (tmp_path / "net.pt").read_bytes()
    again = Run("OneCycle", tmp_path / "net.pt")
    assert again.train(resume=True, verbose=True) == history
    *lines, last = capsys.readouterr().out.splitlines()
    assert last == f"Going on after epoch 4 of 4, from {tmp_path / 'net.pt'}."
    assert [line.split("   ")[0] for line in lines] == [f"epoch {epoch}/4" for epoch in (1, 2, 3, 4)]
    assert all(
        f"{accuracy:6.2%}" in line for accuracy, line in zip(history.test_accuracy, lines, strict=True)
    )
    assert same(again.outcome(history), never_stopped("OneCycle"))
    assert (tmp_path / "net.pt").read_bytes() == before


def test_the_environment_can_ask_to_go_on(tmp_path, monkeypatch):
    Run("OneCycle", tmp_path / "net.pt").stop_in(3, 1).train()
    monkeypatch.setattr(module.config, "resume", True)
    run = Run("OneCycle", tmp_path / "net.pt")
    assert same(run.outcome(run.train()), never_stopped("OneCycle"))
    without_a_file = Run("OneCycle")  # an experiment in a notebook keeps no checkpoint: it starts as ever
    assert same(without_a_file.outcome(without_a_file.train()), never_stopped("OneCycle"))


def test_without_a_scheduler_a_run_can_be_made_longer(tmp_path):
    short = Run("no scheduler", tmp_path / "net.pt")
    short.train(epochs=2)
    longer = Run("no scheduler", tmp_path / "net.pt")
    assert same(longer.outcome(longer.train(resume=True)), never_stopped("no scheduler"))


def test_without_a_checkpoint_training_starts_and_says_so(tmp_path, capsys):
    run = Run("no scheduler", tmp_path / "net.pt")
    history = run.train(resume=True, verbose=True)
    assert len(history) == EPOCHS
    assert capsys.readouterr().out.startswith(
        f"There is no checkpoint {tmp_path / 'net.pt'} yet: training starts"
    )


def test_resume_in_float16_restores_the_loss_scale(tmp_path):
    run = Run("OneCycle", tmp_path / "net.pt")
    run.stop_in(2, 1).train(precision="float16")
    checkpoint = torch.load(tmp_path / "net.pt", weights_only=True)
    checkpoint["scaler"]["scale"] = 4.0
    torch.save(checkpoint, tmp_path / "net.pt")
    run = Run("OneCycle", tmp_path / "net.pt")
    run.train(resume=True, precision="float16")
    assert torch.load(tmp_path / "net.pt", weights_only=True)["scaler"]["scale"] == 4.0
    (tmp_path / "net.pt").unlink()
    Run("OneCycle", tmp_path / "net.pt").stop_in(2, 1).train()  # in float32 there is no scale to restore
    assert len(Run("OneCycle", tmp_path / "net.pt").train(resume=True, precision="float16")) == EPOCHS


@pytest.mark.parametrize(
    ("written", "resumed", "words"),
    [
        ("OneCycle", "no scheduler", "was written with SGD and OneCycleLR, and this is AdamW: use the same"),
        ("no scheduler", "OneCycle", "was written with AdamW, and this is SGD and OneCycleLR"),
        ("OneCycle", "Lambda", "with SGD and OneCycleLR, and this is SGD and LambdaLR"),
    ],
)
def test_another_optimizer_or_scheduler_is_refused(tmp_path, written, resumed, words):
    Run(written, tmp_path / "net.pt").train(epochs=2) if written == "no scheduler" else Run(
        written, tmp_path / "net.pt"
    ).train()
    run = Run(resumed, tmp_path / "net.pt")
    before = run.outcome(module.History())
    with pytest.raises(CheckpointError, match=words):
        run.train(resume=True)
    assert same(run.outcome(module.History()), before)


def test_what_cannot_be_resumed_is_refused_and_changes_nothing(tmp_path):
    path = tmp_path / "net.pt"
    Run("OneCycle", path).stop_in(3, 1).train()
    run = Run("OneCycle", path)
    before = {name: weights.clone() for name, weights in run.net.state_dict().items()}
    with pytest.raises(
        CheckpointError, match="run of 4 epochs, and its scheduler cannot go on to 9: ask for 4, or"
    ):
        run.train(resume=True, epochs=9)

    run.optimizer = torch.optim.SGD([{"params": [p]} for p in run.net.parameters()], 0.1)  # other groups
    run.scheduler = lr_scheduler.OneCycleLR(run.optimizer, 0.1, total_steps=20)
    with pytest.raises(CheckpointError, match="does not fit this optimizer or scheduler"):
        run.train(resume=True)
    assert same(before, run.net.state_dict())

    save_weights(run.net, path)
    run = Run("OneCycle", path)
    with pytest.raises(CheckpointError, match=r"is no checkpoint of train\(\): delete it, or train without"):
        run.train(resume=True)


def test_smaller_batches_after_a_stop_are_too_many_for_the_scheduler(tmp_path):
    Run("OneCycle", tmp_path / "net.pt").stop_in(3, 1).train()
    run = Run("OneCycle", tmp_path / "net.pt")
    run.train_loader.batch_size = 2
    with pytest.raises(TrainingError, match="has 10 of its 20 steps left and training takes 40"):
        run.train(resume=True)


# --- kill -9 --------------------------------------------------------------------------------------------------

PHASES = ("training", "writing the file", "flushing it to the disk", "renaming it", "starting")


def kill_again_and_again(folder: Path, kills: int) -> dict:
    """Train in child processes and kill them at random moments; runs in a process of its own, which forks.

    Writing is slowed down, so that about half of the kills hit it. Returns what happened.
    """
    torch.set_num_threads(1)
    phase = mmap.mmap(-1, 1)  # shared with the children
    path, stalls = folder / "net.pt", 0.002

    def in_phase(number: int, function):
        @functools.wraps(function)
        def wrapper(*arguments, **options):
            phase[0] = number
            time.sleep(stalls)
            result = function(*arguments, **options)
            time.sleep(stalls)
            phase[0] = 0
            return result

        return wrapper

    class SlowFile:
        def __init__(self, *arguments) -> None:
            phase[0] = 1
            self.file = open(*arguments, buffering=0)  # noqa: SIM115
            self.flush, self.fileno = self.file.flush, self.file.fileno

        def __enter__(self) -> "SlowFile":
            return self

        def __exit__(self, *_) -> None:
            self.file.close()

        def write(self, content: memoryview) -> None:
            step = len(content) // 8
            for start in range(0, len(content), step):
                self.file.write(content[start : start + step])
                time.sleep(stalls)

    def child() -> None:
        files.open = SlowFile
        os.fsync, os.replace = in_phase(2, os.fsync), in_phase(3, os.replace)
        run = Run("OneCycle", path)
        phase[0] = 0
        history = run.train(resume=True)
        torch.save(run.outcome(history), folder / "outcome.pt")

    def start() -> int:
        phase[0] = 4
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                child()
                status = 0
            finally:
                os._exit(status)
        return pid

    for _ in range(2):  # the first child finds nothing in the caches
        path.unlink(missing_ok=True)
        begin = time.monotonic()
        assert os.waitpid(start(), 0)[1] == 0
        duration = time.monotonic() - begin
    expected = torch.load(folder / "outcome.pt", weights_only=True)
    path.unlink()

    rng, seen, finished, epochs_before = random.Random(3), dict.fromkeys(PHASES, 0), 0, 0
    done = 0
    while done < kills:
        pid = start()
        time.sleep(rng.uniform(0, 0.7 * duration))
        if os.waitpid(pid, os.WNOHANG) == (0, 0):
            os.kill(pid, signal.SIGKILL)
            status = os.waitpid(pid, 0)[1]
        else:
            status = 0
        if os.WIFSIGNALED(status):
            done += 1
            seen[PHASES[phase[0]]] += 1
            if path.exists():  # it always loads, and never goes back
                load_weights(make_net(), path)
                epochs = len(torch.load(path, weights_only=True)["history"]["train_loss"])
                assert epochs >= epochs_before, "an older checkpoint came back"
                epochs_before = epochs
        else:
            assert os.WEXITSTATUS(status) == 0
            assert same(torch.load(folder / "outcome.pt", weights_only=True), expected), "other numbers"
            finished, epochs_before = finished + 1, 0
            path.unlink()

    left = list(folder.glob(".net.pt.*.tmp"))
    for file in left:  # an hour later, the next one who writes tidies up
        os.utime(file, (time.time() - 3600,) * 2)
    fresh = folder / ".net.pt.another-process.tmp"
    fresh.touch()
    assert os.waitpid(start(), 0)[1] == 0
    assert same(torch.load(folder / "outcome.pt", weights_only=True), expected), "other numbers"
    names = sorted(file.name for file in folder.iterdir())
    assert names == [fresh.name, "net.pt", "outcome.pt"], names
    return {"killed": seen, "finished": finished + 2, "left behind": len(left)}


def two_at_once(folder: Path) -> dict:
    """Two processes write checkpoints to one path, and this one reads it all the time."""
    torch.set_num_threads(1)
    path, children, loads = folder / "net.pt", [], 0
    for _ in range(2):
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                Run("OneCycle", path).train()
                status = 0
            finally:
                os._exit(status)
        children.append(pid)
    while children:
        if path.exists():
            load_weights(make_net(), path)
            loads += 1
        for pid in list(children):
            finished, status = os.waitpid(pid, os.WNOHANG)
            if finished:
                assert status == 0
                children.remove(pid)
    assert [file.name for file in folder.iterdir()] == ["net.pt"]
    assert len(torch.load(path, weights_only=True)["history"]["train_loss"]) == EPOCHS
    return {"loads": loads}


@pytest.fixture(scope="module")
def forked(tmp_path_factory) -> dict:
    """What the two functions above found, in a process of their own: forking pytest and its threads is not safe."""
    if not hasattr(os, "fork"):
        pytest.skip("needs os.fork")
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "COURSE_DEVICE": "cpu",
        "PYTHONPATH": str(config.root),
    }
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "ignore",
            __file__,
            *(tmp_path_factory.mktemp(name) for name in ("kill", "two")),
        ],
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_after_kill_9_at_50_random_moments_nothing_is_lost(forked):
    print(forked)
    killed = forked["killed"]
    assert sum(killed.values()) == 50
    assert killed["training"] >= 5
    assert sum(killed[phase] for phase in PHASES[1:4]) >= 10
    assert forked["left behind"] >= 1  # or the last assertions there prove nothing


def test_two_processes_may_write_one_checkpoint(forked):
    assert forked["loads"] > 0


# --- writing --------------------------------------------------------------------------------------------------


def test_weights_come_back_as_they_were(tmp_path):
    first, second = make_net(), make_net()
    save_weights(first, tmp_path / "a" / "b" / "net.pt")  # folders are made
    load_weights(second, str(tmp_path / "a" / "b" / "net.pt"))
    assert same(first.state_dict(), second.state_dict())
    assert not any(tensor.is_cuda for tensor in torch.load(tmp_path / "a" / "b" / "net.pt").values())
    assert [file.name for file in (tmp_path / "a" / "b").iterdir()] == ["net.pt"]


@pytest.mark.skipif(os.name != "posix", reason="permissions are another matter there")
def test_others_may_read_what_the_umask_allows(tmp_path):
    old = os.umask(0o027)
    try:
        save_weights(make_net(), tmp_path / "net.pt")
    finally:
        os.umask(old)
    assert (tmp_path / "net.pt").stat().st_mode & 0o777 == 0o640


class BrokenFile(io.FileIO):
    """A file on a disk that fills up half-way."""

    def write(self, content) -> int:
        super().write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_one_sentence_and_the_old_file_stays(tmp_path, monkeypatch):
    path = tmp_path / "net.pt"
    save_weights(make_net(), path)
    before = path.read_bytes()
    monkeypatch.setattr(files, "open", BrokenFile, raising=False)
    with pytest.raises(
        CheckpointError, match=r"written \(No space left on device\): make room on the disk"
    ) as caught:
        save_weights(make_net(), path)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files")
def test_a_disk_that_is_really_full(tmp_path):
    path = tmp_path / "net.pt"
    save_weights(make_net(), path)
    before = path.read_bytes()
    soft, hard = limits.getrlimit(limits.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits.setrlimit(limits.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(CheckpointError, match=r"big.pt could not be written \(File too large\)"):
            save_weights(make_net(width=2000), tmp_path / "big.pt")
        with pytest.raises(CheckpointError, match="could not be written"):
            save_weights(make_net(width=2000), path)
    finally:
        limits.setrlimit(limits.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_that_fills_up_does_not_end_the_training(tmp_path, monkeypatch, capsys):
    run, opened = Run("no scheduler", tmp_path / "net.pt"), []

    def full_after_two(*arguments):
        opened.append(arguments)
        return (open if len(opened) <= 2 else BrokenFile)(*arguments)

    monkeypatch.setattr(files, "open", full_after_two, raising=False)
    assert len(run.train()) == EPOCHS
    third, fourth = capsys.readouterr().out.splitlines()
    assert third.startswith("WARNING: training goes on, but epoch 3 has no checkpoint. ")
    assert "epoch 4" in fourth
    assert "(No space left on device): make room on the disk" in fourth
    assert len(torch.load(tmp_path / "net.pt", weights_only=True)["history"]["train_loss"]) == 2
    assert [file.name for file in tmp_path.iterdir()] == ["net.pt"]


def test_a_path_that_cannot_be_written_is_found_before_training(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    for path in (tmp_path / "file" / "net.pt", tmp_path):
        run = Run("no scheduler", path)
        monkeypatch.setattr(run.train_loader, "prepare", lambda _: pytest.fail("training began"))
        with pytest.raises(CheckpointError, match=r"cannot be written \(.*\): give another save_path"):
            run.train()
    with pytest.raises(CheckpointError, match="could not be written"):
        save_weights(make_net(), tmp_path / "file" / "net.pt")
    with pytest.raises(CheckpointError, match="could not be written"):
        save_weights(make_net(), tmp_path)
    assert (tmp_path / "file").read_text() == "no folder"


def test_what_could_not_be_read_back_does_not_replace_the_checkpoint(tmp_path, capsys):
    class Odd(lr_scheduler.StepLR):
        def state_dict(self):
            return super().state_dict() | {"where": Path()}

    run = Run("Step", tmp_path / "net.pt")
    run.train(epochs=1)
    before = (tmp_path / "net.pt").read_bytes()
    run.scheduler = Odd(run.optimizer, 1)
    run.train(epochs=1)
    assert "in it could not be read back" in capsys.readouterr().out
    assert (tmp_path / "net.pt").read_bytes() == before


def test_windows_may_refuse_the_renaming_for_a_moment(tmp_path, monkeypatch):
    replace, refusals, pauses = os.replace, [1, 1], []

    def refuse(*paths) -> None:
        if refusals:
            refusals.pop()
            raise PermissionError(13, "Access is denied")
        replace(*paths)

    monkeypatch.setattr(os, "replace", refuse)
    monkeypatch.setattr(module.time, "sleep", pauses.append)
    save_weights(make_net(), tmp_path / "net.pt")
    load_weights(make_net(), tmp_path / "net.pt")
    assert len(pauses) == 2
    refusals += [1] * 9
    with pytest.raises(CheckpointError, match=r"could not be written \(Access is denied\)"):
        save_weights(make_net(), tmp_path / "net.pt")
    assert [file.name for file in tmp_path.iterdir()] == ["net.pt"]


def test_unfinished_files_are_tidied_up_when_they_are_old(tmp_path):
    old, fresh, other = (tmp_path / name for name in (".net.pt.1.tmp", ".net.pt.2.tmp", ".net2.pt.1.tmp"))
    for file in (old, fresh, other):
        file.write_bytes(b"half")
    for file, minutes in ((old, 11), (fresh, 9), (other, 11)):
        os.utime(file, (time.time() - 60 * minutes,) * 2)
    save_weights(make_net(), tmp_path / "net.pt")
    assert sorted(tmp_path.iterdir()) == sorted([fresh, other, tmp_path / "net.pt"])


# --- reading --------------------------------------------------------------------------------------------------


@pytest.fixture
def net() -> nn.Sequential:
    return make_net()


@pytest.fixture
def good(tmp_path) -> Path:
    save_weights(make_net(), tmp_path / "good.pt")
    return tmp_path / "good.pt"


def refused(net: nn.Module, path: Path, words: str) -> None:
    """Loading fails with one sentence that has these words, and the network stays as it was."""
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    with pytest.raises(CheckpointError, match=words) as caught:
        load_weights(net, path)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)
    assert same(before, net.state_dict())


DAMAGED = (
    r"cannot be read as weights \(it is damaged, or holds more than tensors\): delete it and train again"
)


def test_a_checkpoint_of_train_is_a_file_of_weights_too(tmp_path):
    run = Run("OneCycle", tmp_path / "net.pt")
    run.train()
    net = make_net()
    load_weights(net, tmp_path / "net.pt")
    assert same(net.state_dict(), run.net.state_dict())


class Malicious:
    def __init__(self, touched: Path) -> None:
        self.touched = touched

    def __reduce__(self):
        return Path.touch, (self.touched,)


@pytest.mark.parametrize("place", ["alone", "among weights", "plain pickle", "old format"])
def test_a_pickle_that_runs_code_is_refused_and_does_not_run(net, tmp_path, place):
    touched, path = tmp_path / "touched", tmp_path / "evil.pt"
    evil = Malicious(touched)
    if place == "plain pickle":
        path.write_bytes(pickle.dumps(evil))
        pickle.loads(path.read_bytes())
    else:
        content = evil if place == "alone" else net.state_dict() | {"0.weight": evil}
        torch.save(content, path, _use_new_zipfile_serialization=place != "old format")
        torch.load(path, weights_only=False)
    assert touched.exists()  # it does run where it is allowed to
    touched.unlink()
    refused(net, path, DAMAGED)
    assert not touched.exists()


def test_another_architecture_is_named(tmp_path, good):
    refused(
        nn.Sequential(nn.Linear(3, 3)),
        good,
        "holds another network than Sequential .*it lacks|which the network lacks",
    )
    save_weights(nn.Sequential(*make_net(), nn.Linear(3, 3)), tmp_path / "more.pt")
    refused(
        make_net(),
        tmp_path / "more.pt",
        r"\(it has 7.bias, which the network lacks\): build the network it was",
    )
    save_weights(make_net()[:3], tmp_path / "less.pt")
    refused(make_net(), tmp_path / "less.pt", r"\(it lacks 6.bias\)")


def test_another_number_of_classes_or_width_is_named(good):
    refused(
        make_net(classes=10),
        good,
        r"6.weight is \[3, 24\] there and \[10, 24\] here, so build .* number of classes",
    )
    refused(make_net(width=5), good, r"0.weight is \[6, 3, 3, 3\] there and \[5, 3, 3, 3\] here")


def test_a_truncated_file_is_refused_wherever_it_ends(net, good, tmp_path):
    whole = good.read_bytes()
    cut = tmp_path / "cut.pt"
    for length in {0, 1, 4, 100, *range(0, len(whole), len(whole) // 40), len(whole) - 1}:
        cut.write_bytes(whole[:length])
        refused(net, cut, DAMAGED)
    cut.write_bytes(whole)
    load_weights(net, cut)


def test_one_wrong_bit_in_the_weights_is_found(net, good):
    """torch.load() would take it: it looks at no checksum."""
    content = bytearray(good.read_bytes())
    place = content.find(torch.load(good)["6.weight"].numpy().tobytes())
    assert place > 0
    content[place + 10] ^= 1
    good.write_bytes(content)
    torch.load(good, weights_only=True)
    refused(net, good, DAMAGED)


def test_a_part_that_is_marked_as_a_folder_is_read_all_the_same(net, good):
    """torch.load() would leave its numbers to chance: it takes whatever is in memory at that moment."""
    expected = torch.load(good)
    content = bytearray(good.read_bytes())
    entry = content.rfind(b"archive/data/0") - 46  # in the table of contents
    assert content[entry : entry + 4] == b"PK\x01\x02"
    content[entry + 38] |= 0x10
    good.write_bytes(content)
    load_weights(net, good)
    assert same(dict(net.state_dict()), expected)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_archive_with_two_parts_of_one_name_is_refused(net, good):
    with zipfile.ZipFile(good, "a") as archive:
        archive.writestr("archive/data/0", archive.read("archive/data/0"))
    refused(net, good, DAMAGED)


def test_what_is_no_file_of_weights_is_refused(net, tmp_path):
    refused(net, tmp_path / "nothing.pt", "There is no file .*nothing.pt: train the network first")
    refused(net, tmp_path, "There is no file")
    for name, content in {
        "empty.pt": b"",
        "text.pt": b"These are no weights.",
        "html.pt": b"<!DOCTYPE html><title>404</title>",
    }.items():
        (tmp_path / name).write_bytes(content)
        refused(net, tmp_path / name, DAMAGED)
    with zipfile.ZipFile(tmp_path / "zip.pt", "w") as archive:
        archive.writestr("a.txt", "no weights")
    refused(net, tmp_path / "zip.pt", DAMAGED)


@pytest.mark.parametrize("content", [[1, 2], torch.zeros(3), "text", None, 7], ids=str)
def test_weights_without_names_are_refused(net, tmp_path, content):
    torch.save(content, tmp_path / "odd.pt")
    refused(
        net,
        tmp_path / "odd.pt",
        r"holds no weights by name: give a file that save_weights\(\) or train\(\) wrote",
    )


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (7, r"6.bias is \[\] there and \[3\] here"),
        ("text", r"6.bias is \[\] there"),
        ([0.0, 0.0, 0.0], r"6.bias is \[\] there"),
        (torch.zeros(3, dtype=torch.int64), "holds 6.bias as torch.int64, not as torch.float32"),
        (torch.zeros(3, dtype=torch.complex64), "holds 6.bias as torch.complex64"),
        (torch.zeros(3, dtype=torch.float8_e5m2), "holds 6.bias as torch.float8_e5m2"),
        (torch.zeros(3, device="meta"), "holds 6.bias as torch.float32"),
        (torch.zeros(3).to_sparse(), "holds 6.bias as torch.float32"),
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore")
def test_values_that_are_no_weights_are_refused(net, tmp_path, value, words):
    torch.save(net.state_dict() | {"6.bias": value}, tmp_path / "odd.pt")
    refused(net, tmp_path / "odd.pt", words)


def test_odd_names_and_parts_are_refused(net, tmp_path):
    torch.save(net.state_dict() | {7: torch.zeros(3)}, tmp_path / "odd.pt")
    refused(net, tmp_path / "odd.pt", "it has 7, which the network lacks")
    torch.save({"net": [1, 2], "history": {}}, tmp_path / "odd.pt")
    refused(net, tmp_path / "odd.pt", "holds no weights by name")


def test_a_newer_format_asks_for_a_newer_course(net, tmp_path):
    torch.save({"format": files.FORMAT + 1, "something": "new"}, tmp_path / "new.pt")
    refused(net, tmp_path / "new.pt", "was written by a newer version of this course: update the course")
    run = Run("OneCycle", tmp_path / "new.pt")
    with pytest.raises(CheckpointError, match="newer version of this course"):
        run.train(resume=True)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_another_precision_become_the_network_s_own(net, tmp_path, dtype):
    other = make_net().to(dtype)
    save_weights(other, tmp_path / "net.pt")
    load_weights(net, tmp_path / "net.pt")
    assert {p.dtype for p in net.parameters()} == {torch.float32}
    assert same(
        {k: v.to(net.state_dict()[k].dtype) for k, v in other.state_dict().items()}, dict(net.state_dict())
    )


def rewrite(path: Path, change, **options) -> None:
    """Write an archive anew, each of its files as `change(name, content)` gives it."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in files.items():
            archive.writestr(name, change(name, content))


def test_weights_written_on_a_gpu_load_on_a_cpu(net, good):
    """The same file, but for the name of the device on which each tensor was."""
    expected = torch.load(good)

    def on_cuda(name: str, content: bytes) -> bytes:
        return (
            content.replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0")
            if "data.pkl" in name
            else content
        )

    rewrite(good, on_cuda)
    if not torch.cuda.is_available():
        with pytest.raises(RuntimeError, match="CUDA"):
            torch.load(good, weights_only=True)
    load_weights(net, good)
    assert same(dict(net.state_dict()), expected)


def memory_gib() -> float:
    return limits.getrusage(limits.RUSAGE_SELF).ru_maxrss / 2**20


@pytest.mark.skipif(sys.platform != "linux", reason="counts memory in KiB")
def test_a_small_file_cannot_claim_much_memory(net, good, tmp_path):
    before = memory_gib()

    bomb = tmp_path / "bytes.pt"  # a pickle may ask for 2 GB of zeros in a few bytes
    torch.save({}, bomb)
    call = (
        b"\x80\x02}X\x01\x00\x00\x00acbuiltins\nbytearray\n\x8a\x08"
        + (2 << 30).to_bytes(8, "little")
        + b"\x85Rs."
    )
    rewrite(bomb, lambda name, content: call if "data.pkl" in name else content)
    refused(net, bomb, DAMAGED)

    bomb = tmp_path / "deflated.pt"
    torch.save({"6.bias": torch.zeros(50_000_000)}, bomb)
    rewrite(bomb, lambda _, content: content, compression=zipfile.ZIP_DEFLATED, compresslevel=1)
    between = memory_gib()
    assert bomb.stat().st_size < 5_000_000
    refused(net, bomb, DAMAGED)

    claims = 0

    def claim(_: str, content: bytes) -> bytes:
        """In the pickle, 4 GB of numbers in place of 3."""
        nonlocal claims
        content, found = re.subn(rb"K\x03t(q.)Q", rb"J\0\0\0@t\1Q", content)
        claims += found
        return content

    rewrite(good, claim)
    assert claims > 0
    refused(net, good, DAMAGED)
    assert memory_gib() - between < 0.3
    assert between - before < 1.5  # this test's own tensor


if __name__ == "__main__":
    print(json.dumps(kill_again_and_again(Path(sys.argv[1]), kills=50) | two_at_once(Path(sys.argv[2]))))
