"""Two processes against one: the same numbers, every image once, and files that both can read.

What the processes do is in distributed_scenarios.py; they are real ones, that talk by gloo on the
CPU.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import distributed_scenarios as scenarios
import pytest
import torch

from utils import config
from utils.machinery import checkpoint, distributed
from utils.machinery.checks import TrainingError

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("two")


@pytest.fixture(scope="module")
def two(folder, one_thread) -> tuple[dict, dict]:
    """What each of the two processes found, by scenario."""
    command = [
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        scenarios.__file__,
        str(folder),
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COURSE_DEVICE": "cpu"}
    command = [sys.executable, "-m", *command]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    return first, second


def difference(a: dict, b: dict) -> float:
    """The largest one between the figures of all epochs, and between the weights."""
    figures = ("train_loss", "train_accuracy", "test_loss", "test_accuracy", "learning_rate")
    pairs = [zip(a["history"][name], b["history"][name], strict=True) for name in figures]
    assert list(a["weights"]) == list(b["weights"])
    weights = [
        (a["weights"][name] - b["weights"][name]).abs().max().item() for name in a["weights"]
    ]
    return max(max(abs(x - y) for pair in pairs for x, y in pair), *weights)


@pytest.mark.parametrize("name", ["no_norm", "data_loader"])
def test_the_numbers_are_those_of_one_process(two, tmp_path, name):
    one = getattr(scenarios, name)(tmp_path)
    assert difference(one, two[0][name]) < 1e-6
    assert difference(two[0][name], two[1][name]) == 0
    assert (
        one["history"]["train_loss"][-1] < 0.95 * one["history"]["train_loss"][0]
    )  # it did something


def test_with_batch_norm_both_learn_the_same_weights(two):
    """Each batch norm sees its own process's images, so only the running averages may differ."""
    first, second = (found["norm"] for found in two)
    assert first["history"]["test_accuracy"][-1] == 1
    assert first["history"]["train_loss"] == second["history"]["train_loss"]
    learned = [name for name in first["weights"] if "running" not in name]
    assert all(torch.equal(first["weights"][name], second["weights"][name]) for name in learned)


def test_what_a_cell_drew_or_changed_differently_is_rank_0s(two, tmp_path):
    one = scenarios.different_draws(tmp_path)  # this process is rank 0 of one
    assert difference(one, two[0]["different_draws"]) < 1e-6
    assert difference(two[0]["different_draws"], two[1]["different_draws"]) == 0


def test_every_image_once_an_epoch_in_a_new_order(two):
    """101 images in batches of 16: of the last five, each process takes two."""
    halves = [found["each_once"]["seen"] for found in two]
    assert [[len(step) for step in half] for half in halves] == [[8] * 6 + [2] + [8] * 6 + [2]] * 2
    steps = [first + second for first, second in zip(*halves, strict=True)]
    epochs = [sum(steps[:7], []), sum(steps[7:], [])]
    assert [len(set(epoch)) for epoch in epochs] == [100, 100]
    assert epochs[0] != epochs[1]


def test_a_resumed_run_has_the_numbers_of_one_that_never_stopped(two):
    assert difference(two[0]["going_on"], two[0]["no_norm"]) == 0


def test_one_process_goes_on_from_a_checkpoint_of_two(two, folder, tmp_path):
    assert len(two[0]["half"]["history"]["train_loss"]) == 2
    shutil.copy(folder / "files" / "0" / "checkpoint.pt", folder / "half" / "checkpoint.pt")
    assert difference(scenarios.no_norm(tmp_path), scenarios.going_on(folder / "half")) < 1e-6


def test_only_the_first_process_prints_and_writes(two, folder):
    first, second = (found["files"] for found in two)
    assert first["printed"].count("images/s") == 2
    assert first["written"]
    assert second == {"printed": "", "written": False}
    checkpoint.load_weights(
        scenarios.make_net(), folder / "files" / "0" / "checkpoint.pt"
    )  # its names are plain


def test_weights_without_a_part_in_the_loss_are_explained(two):
    for found in two:
        assert "no part in the loss" in found["idle_weights"]["error"]


def test_no_process_gets_a_share_of_a_single_image(monkeypatch):
    """98 images in batches of 16: the last two would be one each, which batch norm cannot take."""
    images, labels = torch.rand(98, 3, 2, 2), torch.arange(98)
    loader = list(zip(images.split(16), labels.split(16), strict=True))
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    for rank in (0, 1):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        shares = list(distributed.shares(loader))
        assert [len(own) for _, own in shares] == [8] * 6
        assert torch.cat([own for _, own in shares]).tolist() == list(range(rank, 96, 2))
    monkeypatch.setattr(distributed, "rank", lambda: 0)
    with pytest.raises(TrainingError, match="pairs"):
        list(distributed.shares([{"images": images}]))


def test_in_a_single_process_nothing_happens():
    net, batch = torch.nn.BatchNorm2d(3), (torch.randn(1, 2), torch.arange(1))
    assert distributed.parallel(net) is net
    assert all(map(torch.equal, batch, *distributed.shares([batch])))
    distributed.start(torch.device("cpu"))
    assert (distributed.world_size(), distributed.rank(), distributed.is_main()) == (1, 0, True)


def test_each_process_takes_the_gpu_of_its_number_and_on_a_mac_the_cpu(monkeypatch):
    monkeypatch.setattr(
        torch, "ones", lambda *_, device: torch.zeros(1)
    )  # whatever the device, it works
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    for gpu, expected in ((True, "cuda:1"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda gpu=gpu: gpu)
        assert config.working_device("", "1") == torch.device(expected)
