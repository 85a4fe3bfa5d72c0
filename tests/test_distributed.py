"""Two processes against one: the same numbers, every image once, and files that both can read.

What the processes do is in distributed_scenarios.py; they are real ones, that talk by gloo on the CPU.
"""

import os
import subprocess
import sys
from pathlib import Path

import distributed_scenarios as scenarios
import pytest
import torch

from utils import config, distributed

pytestmark = pytest.mark.usefixtures("one_thread")
MEASURED = ("train_loss", "train_accuracy", "test_loss", "test_accuracy", "learning_rate")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("two")


@pytest.fixture(scope="module")
def two(folder, one_thread) -> tuple[dict, dict]:
    """What each of the two processes found, by scenario."""
    (folder / "from_one_process").mkdir()
    net = scenarios.seeded(scenarios.plain_net)
    path = folder / "from_one_process" / "checkpoint.pt"
    scenarios.run(net, epochs=2, save_path=path, make_scheduler=scenarios.no_scheduler)
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [sys.executable, "-m", *launcher, scenarios.__file__, str(folder)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    return first, second


def difference(a: dict, b: dict, figures: tuple[str, ...] = MEASURED) -> float:
    """The largest one between these figures of all epochs."""
    pairs = [zip(a["history"][name], b["history"][name], strict=True) for name in figures]
    return max(abs(x - y) for pair in pairs for x, y in pair)


def weight_difference(a: dict, b: dict) -> float:
    assert list(a["weights"]) == list(b["weights"])
    return max((a["weights"][n].float() - b["weights"][n].float()).abs().max().item() for n in a["weights"])


# --- the same numbers as in one process -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["no_norm", "last_batch_of_one", "batches_of_one", "plateau", "data_loader", "sync_norm"],
)
def test_the_numbers_are_those_of_one_process(two, tmp_path, name):
    """Losses, accuracies and learning rates of each epoch, and the weights after the last one."""
    one = getattr(scenarios, name)(tmp_path)
    assert difference(one, two[0][name]) < 1e-5
    assert weight_difference(one, two[0][name]) < 1e-4
    assert one["history"]["train_loss"][-1] < 0.95 * one["history"]["train_loss"][0]  # it did something


def test_sixteen_bits_agree_up_to_their_rounding(two, tmp_path):
    one = scenarios.bfloat16(tmp_path)
    assert (
        difference(one, two[0]["bfloat16"], ("train_loss", "test_loss")) < 1e-2
    )  # a picture may change sides


@pytest.mark.parametrize("name", ["no_norm", "norm", "sync_norm", "own_dropout", "different_draws"])
def test_both_processes_have_the_same_figures_and_weights(two, name):
    assert difference(two[0][name], two[1][name]) == 0
    assert weight_difference(two[0][name], two[1][name]) == 0


def test_with_batch_norm_both_learn_and_only_the_option_makes_them_equal(two, tmp_path):
    """The data set ends in a batch of three, and the last batch norm sees one pixel an image."""
    one = scenarios.norm(tmp_path)
    for found in (one, two[0]["norm"], two[0]["sync_norm"]):
        assert found["history"]["test_accuracy"][-1] == 1
        assert found["history"]["train_loss"][-1] < 0.5 * found["history"]["train_loss"][0]
    assert difference(one, two[0]["norm"]) > 1e-3
    assert difference(one, two[0]["sync_norm"]) < 1e-5


def test_what_a_cell_drew_or_changed_differently_is_rank_0s(two, tmp_path):
    """Random numbers and weights differed between the processes before train()."""
    one = scenarios.different_draws(tmp_path)  # this process is rank 0 of one
    assert difference(one, two[0]["different_draws"]) < 1e-5


# --- shares ---------------------------------------------------------------------------------------------------


def test_every_image_once_an_epoch_in_a_new_order(two):
    halves = [found["each_once"]["seen"] for found in two]
    steps = [first + second for first, second in zip(*halves, strict=True)]
    epochs = sum(steps[:7], []), sum(steps[7:], [])
    assert [len(step) for step in steps[:7]] == [16] * 6 + [5]
    assert [sorted(epoch) for epoch in epochs] == [list(range(101))] * 2
    assert epochs[0] != epochs[1]
    assert {abs(len(a) - len(b)) for a, b in zip(*halves, strict=True)} == {0, 1}


@pytest.mark.parametrize("processes", [2, 3, 4, 7])
@pytest.mark.parametrize("images", [1, 2, 3, 4, 5, 9, 16, 33])
def test_shares_make_up_the_batch_and_have_two_images_at_least(monkeypatch, processes, images):
    monkeypatch.setattr(distributed, "processes", lambda: processes)
    batch, labels = torch.randn(images, 2), torch.arange(images)
    collected, weights, mean = [], 0.0, 0.0
    for rank in range(processes):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        mine, my_labels, own, weight = distributed.share(batch, labels)
        assert len(mine) == len(my_labels) >= min(2, images)
        assert torch.equal(mine, batch[my_labels])
        assert own in (0, len(mine))
        collected += my_labels[:own].tolist()
        weights, mean = weights + weight, mean + weight * mine.mean() / processes
        whole = distributed.in_place(mine, images)
        assert whole.shape == batch.shape
        assert torch.equal(whole.any(1).nonzero().flatten(), my_labels[:own])
    assert collected == list(range(images))
    assert weights == pytest.approx(processes)
    assert float(mean) == pytest.approx(float(batch.mean()), abs=1e-6)


def test_in_a_single_process_nothing_happens():
    images, labels, net = torch.randn(3, 2), torch.arange(3), torch.nn.Linear(2, 2)
    state = torch.get_rng_state()
    shared = distributed.share(images, labels)
    assert shared[0] is images
    assert shared[1] is labels
    assert shared[2:] == (3, 1.0)
    assert distributed.parallel(net, sync_batch_norm=True) is net
    assert distributed.total(images) is images
    assert distributed.in_place(images, 3) is images
    with distributed.own_draws(1, 1):
        pass
    assert torch.equal(torch.get_rng_state(), state)
    distributed.start(torch.device("cpu"))
    assert (distributed.processes(), distributed.rank(), distributed.is_main()) == (1, 0, True)


# --- random numbers and going on ------------------------------------------------------------------------------


def test_dropout_differs_between_processes_and_the_order_of_the_images_does_not(two):
    first, second = (found["own_dropout"] for found in two)
    assert len(first["masks"]) == len(second["masks"]) == 8
    assert not any(torch.equal(a, b) for a, b in zip(first["masks"], second["masks"], strict=True))
    assert len({tuple(mask.flatten().tolist()) for mask in first["masks"]}) == 8
    assert torch.equal(first["after"], second["after"])  # after train(), all draw the same again


def test_a_resumed_run_has_the_numbers_of_one_that_never_stopped(two):
    assert difference(two[0]["resumed_dropout"], two[0]["whole_dropout"]) == 0
    assert weight_difference(two[0]["resumed_dropout"], two[0]["whole_dropout"]) == 0


def test_two_processes_go_on_from_a_checkpoint_of_one_and_the_other_way_round(two, folder):
    def in_one(**options) -> dict:
        net = scenarios.seeded(scenarios.plain_net)
        return scenarios.run(net, make_scheduler=scenarios.no_scheduler, **options)

    whole = in_one()
    assert difference(whole, two[0]["from_one_process"]) < 1e-5
    back = in_one(save_path=folder / "to_one_process" / "checkpoint.pt", resume=True)
    assert back["history"]["train_loss"][:2] == two[0]["to_one_process"]["history"]["train_loss"]
    assert difference(whole, back) < 1e-5


# --- files and output -----------------------------------------------------------------------------------------


def test_only_the_first_process_prints_and_writes(two, folder):
    first, second = (found["files"] for found in two)
    assert first["printed"].count("images/s") == 2
    assert first["calls"] > 0
    assert first["checkpoint"]
    assert (second["printed"], second["calls"], second["checkpoint"]) == ("", 0, False)
    assert not (folder / "resumed_dropout" / "1").exists()


def test_weights_load_in_one_process_and_come_from_one_without_renaming(two, folder):
    net = scenarios.norm_net()
    names = list(net.state_dict())
    assert two[0]["files"]["names"] == names
    assert two[0]["files"]["same"]  # saved and loaded there
    loader = scenarios.Batches(scenarios.make_set(37, 1), 9, device="cpu")
    for file in ("checkpoint.pt", "weights.pt"):
        scenarios.load_weights(net, folder / "files" / "0" / file)
        found = scenarios.evaluate(net, loader, device="cpu")
        assert found.loss == pytest.approx(two[0]["files"]["loss"], abs=1e-6)
        assert (found.probabilities - two[0]["files"]["probabilities"]).abs().max() < 1e-6


def test_evaluation_is_whole_and_in_order_in_every_process(two):
    first, second = (found["files"] for found in two)
    assert torch.equal(first["labels"], scenarios.make_set(37, 1).labels)
    assert torch.equal(first["probabilities"], second["probabilities"])
    assert first["probabilities"].sum(1).tolist() == pytest.approx([1] * 37)
    assert first["loss"] == second["loss"]


def test_weights_without_a_part_in_the_loss_are_explained(two):
    for found in two:
        assert "some weights have no part in the loss" in found["idle_weights"]["error"]


# --- GPUs (which these tests have not: what config makes of torchrun's numbers) ---------------------------------


@pytest.mark.parametrize("asked", ["", "cuda"])
def test_each_process_takes_the_gpu_of_its_number(monkeypatch, asked):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("COURSE_DEVICE", asked)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert config._device() == torch.device("cuda", 1)
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(config.ConfigError, match="more processes than GPUs here, which are 2"):
        config._device()


def test_several_processes_on_a_mac_use_its_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.delenv("COURSE_DEVICE", raising=False)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    assert config._device().type == "mps"
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert config._device().type == "cpu"
