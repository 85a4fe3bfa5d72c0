"""Weights and checkpoints: resumed exactly or refused, written whole, read without running code."""

import functools
import multiprocessing
import os
import pickle
import random
import stat
import time
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import safetensors.torch
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.optim import SGD, AdamW
from torch.optim import lr_scheduler as lr
from torch.utils.data import DataLoader, Dataset, TensorDataset
from torch.utils.tensorboard import SummaryWriter

import utils.train as module
from utils import config
from utils.data import Batches, ImageSet
from utils.machinery.checkpoint import (
    CheckpointError,
    describe,
    load_weights,
    read_file,
    save_weights,
    write_file,
)
from utils.machinery.resume import Checkpoints

pytestmark = pytest.mark.usefixtures("one_thread")
same = functools.partial(
    torch.testing.assert_close, rtol=0, atol=0
)  # bit for bit, in dicts and lists, too
EPOCHS, BATCHES = 4, 5


def make_net(classes: int = 3, width: int = 6, stride: int = 1) -> nn.Sequential:
    """Convolution, batch norm and dropout: weights, running averages and random numbers."""
    conv = nn.Conv2d(3, width, 3, stride, padding=1)
    pool = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.3))
    return nn.Sequential(
        conv, nn.BatchNorm2d(width), nn.ReLU(), pool, nn.Linear(4 * width, classes)
    )


def noise(count: int = 40, name: str = "noise") -> ImageSet:
    numbers = torch.arange(count * 3 * 8 * 8).view(count, 3, 8, 8) * 2654435761 // 2**12 % 256
    return ImageSet(
        numbers.byte(), torch.arange(count) % 3, ("a", "b", "c"), name, (0.5,) * 3, (0.25,) * 3
    )


def batches(image_set: ImageSet, size: int = 8, **changed) -> Batches:
    options = {
        "shuffle": True,
        "crop_padding": 1,
        "flip": True,
        "cutout": 3,
        "device": "cpu",
    } | changed
    return Batches(image_set, size, **options)


def changed(**parts) -> ImageSet:
    """The noise with another part."""
    return replace(noise(), **parts)


def weighted(last: float) -> dict:
    return {"criterion": nn.CrossEntropyLoss(torch.tensor([1.0, 1.0, last]))}


def smooth(share: float) -> dict:
    loss = functools.partial(nn.functional.cross_entropy, label_smoothing=share)
    return {"criterion": loss}


def dataloader(side: int = 8, add: float = 0.0) -> DataLoader:
    images = noise().images[..., :side] / 255 + add
    return DataLoader(TensorDataset(images, noise().labels), 8, shuffle=True)


def one_cycle(optimizer, highest: float = 0.1, epochs: int = EPOCHS) -> lr.OneCycleLR:
    return lr.OneCycleLR(optimizer, highest, total_steps=epochs * BATCHES)


def sgd(**changed):
    return lambda parameters: SGD(
        parameters, **{"lr": 0.1, "momentum": 0.9, "nesterov": True} | changed
    )


class Run:
    """One training, as a new process would start it; a keyword argument changes that part."""

    def __init__(self, path: Path | None = None, **changed) -> None:
        torch.manual_seed(7)
        self.net = changed.pop("net", make_net())
        self.net.load_state_dict(make_net(width=self.net[0].out_channels).state_dict())
        self.optimizer = changed.pop("optimizer", sgd())(self.net.parameters())
        self.scheduler = changed.pop("scheduler", one_cycle)(self.optimizer)
        parts = {
            "train_loader": batches(noise()),
            "epochs": EPOCHS,
            "criterion": nn.CrossEntropyLoss(),
        }
        self.options = parts | {"save_path": path, "verbose": False, "device": "cpu"} | changed

    def train(self, stop: int = 0, **options) -> module.History:
        """Train; in the middle of epoch `stop` of this call, Ctrl-C is pressed."""
        calls = iter(range(1, 100))

        def interrupt(net: nn.Module, _) -> None:
            if net.training and next(calls) == (stop - 1) * BATCHES + 3:
                raise KeyboardInterrupt

        hook = self.net.register_forward_pre_hook(interrupt)
        parts = {"test_loader": Batches(noise(15), 6, device="cpu"), "scheduler": self.scheduler}
        parts |= {"optimizer": self.optimizer} | self.options | options
        self.history = module.train(self.net, **parts)
        hook.remove()
        return self.history

    def outcome(self) -> list:
        figures = [
            values
            for name, values in vars(self.history).items()
            if "loss" in name or "rate" in name
        ]
        return [
            dict(self.net.state_dict()),
            self.optimizer.state_dict(),
            figures,
            torch.get_rng_state(),
        ]


def visible(folder: Path) -> list[Path]:
    """What lies in a folder, but for hidden files: a lock stays where it was made."""
    return [path for path in folder.iterdir() if not path.name.startswith(".")]


CONSTANT = {"scheduler": lambda o: None}
SETUPS = {
    "one cycle": {},
    "alternating flip": {"train_loader": batches(noise(), flip="alternating", resize={1: 4, 3: 8})},
    "DataLoader": {"train_loader": dataloader()},
    "no scheduler": CONSTANT | {"optimizer": lambda p: AdamW(p, 0.01)},
    "steps": {"scheduler": lambda o: lr.MultiStepLR(o, [1, 3])},
    "warm-up": {"scheduler": lambda o: lr.SequentialLR(o, [lr.LinearLR(o), lr.StepLR(o, 1)], [1])},
    "float16": {"precision": "float16"},
    "cycles": {"scheduler": lambda o: lr.CyclicLR(o, 0.01, 0.1, step_size_up=3)},
    "numbers of NumPy": {"optimizer": lambda p: SGD(p, np.logspace(-2, -1, 3)[1], np.float32(0.5))},
}


@pytest.mark.parametrize("setup", SETUPS.values(), ids=SETUPS)
def test_a_resumed_run_ends_with_the_numbers_of_one_that_was_never_stopped(tmp_path, setup):
    never_stopped = Run(**setup)
    never_stopped.train()
    for done in (1, 2):  # a new process each time
        run = Run(tmp_path / "checkpoint.pt", **setup)
        assert len(run.train(stop=2, resume=True)) == done
    run.train(resume=True)  # the cell once more, after Ctrl-C in the middle of an epoch
    same(run.outcome(), never_stopped.outcome())


def test_a_finished_run_prints_its_lines_and_is_not_trained_further(tmp_path, capsys, monkeypatch):
    history = Run(tmp_path / "checkpoint.pt").train()
    monkeypatch.setattr(config, "resume", True)
    assert Run(tmp_path / "checkpoint.pt").train(verbose=True) == history
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["epoch", f"{epoch}/4,"] for epoch in (1, 2, 3, 4)
    ]
    assert all(
        f"{share:.2%}" in line for share, line in zip(history.test_accuracy, lines, strict=True)
    )
    load_weights(make_net(), tmp_path / "checkpoint.pt")  # a checkpoint is a file of weights, too


def test_a_finished_run_keeps_the_device_that_it_was_made_on(tmp_path):
    """Its record is written where the notebook is opened again, which may be another machine."""
    path = tmp_path / "checkpoint.pt"
    Run(path).train()
    content = read_file(path)
    content["history"] |= {"device": "a GPU", "precision": "float16"}
    write_file(content, path)
    history = Run(path).train(resume=True)
    assert (history.device, history.precision) == ("a GPU", "float16")


def test_the_loaders_of_a_finished_run_are_where_it_ended(tmp_path):
    """A notebook that is opened again tests at the size of the last epoch, not of the first."""
    setup = SETUPS["alternating flip"]
    Run(tmp_path / "checkpoint.pt", **setup).train()
    setup["train_loader"].set_epoch(1)
    history = Run(tmp_path / "checkpoint.pt", **setup).train(resume=True)
    assert setup["train_loader"].side == 8
    assert history.height == [4, 4, *[8] * (EPOCHS - 2)]


def test_curves_of_a_resumed_run_have_each_step_once(tmp_path):
    for folder, stop in ((tmp_path / "first", 3), (tmp_path / "second", 0)):
        with SummaryWriter(folder) as writer:
            history = Run(tmp_path / "checkpoint.pt").train(stop, resume=True, writer=writer)
        scalars = EventAccumulator(str(folder)).Reload().Scalars("loss/test")
        assert [scalar.step for scalar in scalars] == list(range(1, len(history) + 1))


def test_a_run_may_go_on_in_another_precision_and_without_a_scheduler_for_longer(tmp_path):
    for epochs, precision in ((1, "float32"), (3, "float16"), (EPOCHS, "float32")):
        run = Run(tmp_path / "checkpoint.pt", **SETUPS["no scheduler"], precision=precision)
        assert len(run.train(epochs=epochs, resume=True)) == epochs
    with pytest.raises(CheckpointError, match="or more"):
        Run(tmp_path / "checkpoint.pt", **SETUPS["no scheduler"]).train(epochs=1, resume=True)


@pytest.mark.parametrize(
    ("base", "changed", "words"),
    [
        ({}, {"train_loader": batches(noise(name="other"))}, "data set"),
        ({}, {"train_loader": batches(noise(39))}, "number of images"),
        ({}, {"train_loader": batches(noise(), size=10)}, "batch size"),
        ({}, {"train_loader": batches(noise(), crop_padding=2)}, "augmentation"),
        (CONSTANT, {"optimizer": sgd(momentum=0.8)}, "setting of the optimizer"),
        (CONSTANT, {"optimizer": sgd(lr=0.01)}, "learning rate"),
        ({}, {"scheduler": functools.partial(one_cycle, highest=0.2)}, "learning rate"),
        (
            {},
            {"scheduler": functools.partial(one_cycle, epochs=5), "epochs": 5},
            "setting of the scheduler",
        ),
        ({"scheduler": lambda o: lr.StepLR(o, 9)}, {"epochs": 5}, "number of epochs"),
        ({"scheduler": lambda o: lr.StepLR(o, 9)}, CONSTANT, "scheduler"),
        ({}, {"net": make_net(stride=2)}, "network"),
        ({}, {"criterion": nn.CrossEntropyLoss(label_smoothing=0.1)}, "setting of the loss"),
        ({}, {"criterion": nn.functional.cross_entropy}, "loss"),
        ({}, {"criterion": nn.CrossEntropyLoss(torch.ones(3))}, "setting of the loss"),
        (weighted(1), {"criterion": nn.CrossEntropyLoss(torch.tensor([1.0, 1, 9]))}, "setting of"),
        (smooth(0.1), smooth(0.2), "setting of the loss"),
        ({}, {"clip": 1.0}, "limit of the gradients"),
        (
            {},
            {"train_loader": batches(changed(images=noise().images.flip(3)))},
            "checksum of the i",
        ),
        (
            {},
            {"train_loader": batches(changed(labels=noise().labels.flip(0)))},
            "checksum of the l",
        ),
        ({}, {"train_loader": batches(changed(images=noise().images[..., :7]))}, "size of the im"),
        ({}, {"train_loader": batches(changed(mean=(0.4,) * 3))}, "mean and deviation"),
        ({}, {"train_loader": batches(changed(std=(0.5,) * 3))}, "mean and deviation"),
        ({}, {"test_loader": Batches(noise(16), 6, device="cpu")}, "test set"),
        ({}, {"test_loader": Batches(noise(15), 6, resize=6, device="cpu")}, "test set"),
        (
            {"train_loader": dataloader()},
            {"train_loader": dataloader(side=7)},
            "size of the images",
        ),
        (
            {"train_loader": dataloader()},
            {"train_loader": dataloader(add=0.1)},
            "checksum of the i",
        ),
        (
            CONSTANT,
            {
                "optimizer": lambda p: SGD(
                    [*p, nn.Parameter(torch.ones(1))], 0.1, 0.9, nesterov=True
                )
            },
            "number of weights",
        ),
    ],
)
def test_going_on_with_another_run_is_refused_and_changes_nothing(tmp_path, base, changed, words):
    Run(tmp_path / "checkpoint.pt", **base).train(stop=2)
    run = Run(tmp_path / "checkpoint.pt", **base | changed)
    before = {name: tensor.clone() for name, tensor in run.net.state_dict().items()}
    with pytest.raises(CheckpointError, match=f"another {words}"):
        run.train(resume=True)
    same(before, dict(run.net.state_dict()))


def test_a_longer_run_is_kept_aside_with_what_belongs_to_it(tmp_path, capsys):
    path, others = tmp_path / "checkpoint.pt", ("weights.safetensors", "record.json")
    Run(path).train()
    before = {"checkpoint.pt": path.read_bytes()} | dict.fromkeys(others, b"from section 9")
    for name in others:
        (tmp_path / name).write_bytes(b"from section 9")
    Run(path).train(stop=3)
    assert "kept" in capsys.readouterr().out
    Run(path).train(stop=2)  # the run of two epochs does not take the place of the longer one
    assert {file.name: file.read_bytes() for file in (tmp_path / "kept").iterdir()} == before
    assert len(torch.load(path, weights_only=True)["history"]["train_loss"]) == 1


def test_of_two_runs_of_equal_length_the_newer_one_is_kept(tmp_path):
    path, kept = tmp_path / "checkpoint.pt", tmp_path / "kept"
    Run(path).train(epochs=1, scheduler=None)
    Run(path).train(epochs=1, scheduler=None, criterion=nn.CrossEntropyLoss(label_smoothing=0.3))
    second = path.read_bytes()
    (kept / "weights.safetensors").write_bytes(b"of the first run")
    Run(path).train(epochs=1, scheduler=None)
    assert (kept / "checkpoint.pt").read_bytes() == second
    # The second run had no weights that could take their place.
    assert (kept / "weights.safetensors").read_bytes() == b"of the first run"


def test_what_is_described_draws_no_random_numbers_and_sees_through_wrappers():
    class Shaken(Dataset):
        def __len__(self) -> int:
            return 8

        def __getitem__(self, index: int) -> tuple:
            shift = random.random() + np.random.rand() + torch.rand(3, 8, 8)
            return shift, index % 2

    net, loss = make_net(), nn.CrossEntropyLoss()
    optimizer, loader = sgd()(net.parameters()), DataLoader(Shaken(), 4, shuffle=True)
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    told = describe(net, loader, optimizer, loss, None)
    assert told["size of the images"] == "[3, 8, 8]"
    same(before, (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()))
    compiled = nn.Module()
    compiled._orig_mod = net  # what torch.compile() makes
    for wrapped in (nn.DataParallel(net), compiled, nn.DataParallel(compiled)):
        assert describe(wrapped, loader, optimizer, loss, None) == told


def test_random_numbers_of_numpy_python_and_the_loader_s_own_go_on_too(tmp_path):
    class Shaken(Dataset):
        def __len__(self) -> int:
            return 40

        def __getitem__(self, index: int) -> tuple:
            shift = random.random() + float(np.random.rand())
            return noise().images[index] / 255 + shift, index % 3

    def new_process(path: Path | None) -> Run:
        random.seed(5)
        np.random.seed(5)
        own = torch.Generator().manual_seed(5)
        return Run(path, train_loader=DataLoader(Shaken(), 8, shuffle=True, generator=own))

    never_stopped = new_process(None)
    never_stopped.train()
    path = tmp_path / "checkpoint.pt"
    for done in (1, 2):
        assert len(new_process(path).train(stop=2, resume=True)) == done
    run = new_process(path)
    run.train(resume=True)
    same(run.outcome(), never_stopped.outcome())


def test_a_checkpoint_of_before_these_were_kept_still_goes_on(tmp_path):
    path = tmp_path / "checkpoint.pt"
    Run(path).train(stop=3)
    content = read_file(path)
    for name in ("random_numpy", "random_python", "random_loaders"):
        del content[name]
    for name in ("checksum of the images", "test set", "limit of the gradients (clip)"):
        del content["what"][name]
    write_file(content, path)
    assert len(Run(path).train(resume=True)) == EPOCHS


def test_a_second_training_in_the_same_place_is_told_so_and_spoils_nothing(tmp_path, capsys):
    path = tmp_path / "checkpoint.pt"
    Run(path).train(stop=2)
    before = path.read_bytes()
    with Checkpoints(path, make_net(), {}, {}):  # a training in another kernel
        capsys.readouterr()
        assert len(Run(path).train()) == EPOCHS
        printed = " ".join(capsys.readouterr().out.split())
        assert printed.startswith("Another training is writing ")
        assert "keeps no checkpoint" in printed
        with pytest.raises(CheckpointError, match="Another training is writing .*: stop that one"):
            Run(path).train(resume=True)
        assert path.read_bytes() == before
        assert not (tmp_path / "kept").exists()
    assert len(Run(path).train(resume=True)) == EPOCHS
    assert path.read_bytes() != before


def test_a_disk_without_locks_keeps_checkpoints_all_the_same(tmp_path, monkeypatch):
    error = OSError(37, "No locks available")
    monkeypatch.setattr("utils.machinery.resume.FileLock.acquire", Mock(side_effect=error))
    Run(tmp_path / "checkpoint.pt").train(stop=2)
    assert (tmp_path / "checkpoint.pt").is_file()


def write_and_read(path: Path, rounds: int) -> None:
    """What a process of the test below does; an error ends it with a status that is not 0."""
    for number in range(rounds):
        write_file({"net": {"weight": torch.full((50_000,), float(number))}}, path)
        weight = read_file(path)["net"]["weight"]
        assert bool((weight == weight[0]).all())


@pytest.mark.parametrize(
    "rounds", [15, pytest.param(150, marks=pytest.mark.by_hand)], ids=["short", "long"]
)
def test_three_processes_write_one_file_and_it_is_always_whole(tmp_path, rounds):
    path, context = tmp_path / "checkpoint.pt", multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_and_read, args=(path, rounds)) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_a_file_has_the_permissions_of_any_other(tmp_path):
    (tmp_path / "plain").touch()
    save_weights(make_net(), tmp_path / "weights.safetensors")
    modes = {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert len(modes) == 1


def test_a_disk_that_fills_up_does_not_end_the_training(tmp_path, monkeypatch, capsys):
    path = tmp_path / "checkpoint.pt"
    Run(path).train(stop=2)
    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", Mock(side_effect=OSError(28, "No space left on device")))
    assert len(Run(path).train(resume=True)) == EPOCHS
    printed = " ".join(capsys.readouterr().out.split())
    assert printed.count("No space left on device): make room on the disk") == EPOCHS - 1
    with pytest.raises(CheckpointError, match="No space left on device"):
        save_weights(make_net(), path)
    assert [path.read_bytes(), *visible(tmp_path)] == [before, path]
    assert not list(tmp_path.glob("*.tmp"))


def test_a_path_that_cannot_be_written_is_found_before_training(tmp_path):
    for path in (Path(__file__) / "checkpoint.pt", tmp_path):
        run = Run(path)
        run.net.register_forward_pre_hook(lambda *_: pytest.fail("training began"))
        with pytest.raises(CheckpointError):
            run.train()


def test_an_unfinished_file_of_a_killed_process_does_not_stay(tmp_path):
    abandoned = tmp_path / ".weights.safetensors.0123.tmp"
    of_another_program = tmp_path / ".weights.safetensors.4567.tmp"
    for file in (abandoned, of_another_program):
        file.write_bytes(b"half")
    two_hours_ago = time.time() - 7200
    os.utime(abandoned, (two_hours_ago, two_hours_ago))
    save_weights(make_net(), tmp_path / "weights.safetensors")
    assert set(tmp_path.iterdir()) == {of_another_program, tmp_path / "weights.safetensors"}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_weights_come_back_in_the_network_s_own_precision(tmp_path, dtype):
    first, own = (
        make_net().to(dtype),
        {k: tensor.dtype for k, tensor in make_net().state_dict().items()},
    )
    save_weights(first, tmp_path / "a" / "b" / "weights.safetensors")
    torch.save(first.state_dict(), tmp_path / "of torch.pt")
    for path in ("a/b/weights.safetensors", "of torch.pt"):
        load_weights(second := make_net(), str(tmp_path / path))
        expected = {name: tensor.to(own[name]) for name, tensor in first.state_dict().items()}
        same(dict(second.state_dict()), expected)


def test_wrappers_around_a_network_and_tied_weights_do_not_matter(tmp_path):
    first, compiled = make_net(), nn.Module()
    compiled._orig_mod = first  # what torch.compile() makes
    first.append(nn.Linear(3, 3)).append(first[5])
    for wrapped in (nn.DataParallel(first), compiled, nn.DataParallel(compiled)):
        save_weights(wrapped, tmp_path / "weights.safetensors")
        torch.save(wrapped.state_dict(), tmp_path / "weights.pt")
        for name in ("weights.safetensors", "weights.pt"):
            second = make_net().append(nn.Linear(3, 3)).append(nn.Linear(3, 3))
            load_weights(nn.DataParallel(second), tmp_path / name)
            same(dict(second.state_dict()), dict(first.state_dict()))


@pytest.mark.parametrize(
    "pack",
    [
        lambda weights: weights,
        lambda weights: {"epoch": 3, "model_state_dict": weights, "optimizer_state_dict": {}},
        lambda weights: {"state_dict": weights, "state_dict_ema": weights, "epoch": 3},
        lambda weights: {"model": weights, "loss": 0.1},
        lambda weights: {"anything": weights},
        lambda weights: {"state_dict": {f"model.{name}": w for name, w in weights.items()}},
        lambda weights: {"state_dict": {f"module.{name}": w for name, w in weights.items()}},
    ],
)
@pytest.mark.parametrize("new_format", [True, False])
def test_weights_of_other_programs_are_found(tmp_path, pack, new_format):
    """In PyTorch's format of today and that of before 1.6."""
    first, second = make_net(), make_net()
    content = pack(first.state_dict())
    torch.save(content, tmp_path / "a.pth", _use_new_zipfile_serialization=new_format)
    load_weights(second, tmp_path / "a.pth")
    same(dict(second.state_dict()), dict(first.state_dict()))


def test_weights_that_are_not_surely_these_are_refused_by_the_names_of_the_file(tmp_path):
    weights = make_net().state_dict()
    torch.save({"generator": weights, "critic": weights, "epoch": 3}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="holds generator, critic, epoch"):
        load_weights(make_net(), tmp_path / "a.pth")


def test_a_file_that_cannot_be_read_is_nobody_s_to_delete(tmp_path):
    (tmp_path / "a.pth").write_bytes(b"\x80\x02 and no more")
    with pytest.raises(CheckpointError, match="give another file") as caught:
        load_weights(make_net(), tmp_path / "a.pth")
    assert "delete" not in str(caught.value)


def test_lazy_layers_have_no_weights_yet(tmp_path):
    lazy = nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten())
    with pytest.raises(CheckpointError, match="send one batch through it first"):
        save_weights(lazy, tmp_path / "weights.safetensors")
    save_weights(make_net(), tmp_path / "weights.safetensors")
    with pytest.raises(CheckpointError, match="send one batch through it first"):
        load_weights(lazy, tmp_path / "weights.safetensors")


Malicious = type("Malicious", (), {"__reduce__": lambda self: (Path.touch, (Path("touched"),))})
ONES = torch.ones(6).numpy().tobytes()  # a batch norm's weights


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda path: torch.save({"4.bias": Malicious()}, path), "be read"),
        (lambda path: path.write_bytes(pickle.dumps(Malicious())), "be read"),
        (lambda path: path.write_bytes(b"<!DOCTYPE html>"), "be read"),
        (lambda path: save_weights(make_net(width=5), path), "another network"),
        (lambda path: save_weights(make_net().append(nn.Linear(3, 3)), path), "another network"),
        (
            lambda path: path.write_bytes(safetensors.torch.save(make_net().state_dict())[:-5]),
            "be read",
        ),
        (lambda path: path.write_bytes(path.read_bytes()[:-5]), "be read"),
        (lambda path: path.write_bytes(path.read_bytes().replace(ONES, ONES[::-1])), "be read"),
        (Path.unlink, "no file"),
    ],
)
def test_what_is_no_file_of_this_network_s_weights_is_refused(tmp_path, monkeypatch, write, words):
    monkeypatch.chdir(tmp_path)
    net, path = make_net(), Path("weights.pt")
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    torch.save(make_net().state_dict(), path)
    write(path)
    with pytest.raises(CheckpointError, match=words):
        load_weights(net, path)
    same(before, dict(net.state_dict()))
    assert not Path("touched").exists()
