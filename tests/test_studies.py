"""The networks of the recorded studies differ in one thing, and each variant gets its best rate."""

import importlib
import sys

import pytest
import torch
from torch import nn

from utils import config

STUDIES = config.root / "tools" / "studies"


def program(name: str):
    """A program of tools/studies/ as a module."""
    sys.path.insert(0, str(STUDIES))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(STUDIES))


def seeded(build) -> nn.Module:
    torch.manual_seed(1)
    return build().eval()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def test_small_pictures_come_first():
    small_first = program("full_length").small_first
    assert small_first(15) == {1: 24, 12: 32}
    assert small_first(5) == {1: 24, 4: 32}


def test_full_size_throughout_has_fewer_epochs(monkeypatch):
    size = program("size")
    asked = []
    monkeypatch.setattr(size, "measure", lambda build, seed, **rest: asked.append(rest))
    size.small_pictures_first(size.resnet, 1, rate=0.2, epochs=15)
    size.full_size_throughout(size.resnet, 1, rate=0.2, epochs=15)
    assert asked == [
        {"rate": 0.2, "epochs": 15, "size": {1: 24, 12: 32}},
        {"rate": 0.2, "epochs": 11},
    ]


def test_networks_with_gates_have_the_weights_of_the_one_without(images):
    gates = program("gates")
    plain, gated, halved = (seeded(build) for build in (gates.plain, gates.gated, gates.halved))
    for one, other in zip(plain.stages, gated.stages, strict=True):
        assert torch.equal(one[0].conv2.weight, other[0].conv2.weight)
    one_half = gated.stages[0][0].norm2[1]
    nn.init.zeros_(one_half.expand.weight)
    nn.init.zeros_(one_half.expand.bias)
    maps = torch.randn(2, 16, 8, 8)
    assert torch.equal(one_half(maps), halved.stages[0][0].norm2[1](maps)), "a gate of one half"
    assert not torch.allclose(plain(images), halved(images))


def test_without_the_shuffle_half_of_the_channels_pass(images):
    shuffle = program("shuffle")
    mixed = seeded(lambda: shuffle.network(shuffled=True))
    straight = seeded(lambda: shuffle.network(shuffled=False))
    maps = torch.randn(2, 48, 8, 8)
    unit = straight.stages[0][1]
    assert torch.equal(unit(maps)[:, :24], maps[:, :24])
    assert not torch.equal(mixed.stages[0][1](maps)[:, :24], maps[:, :24])


def test_alexnet_with_tanh_has_no_relu_and_keeps_its_signal(images):
    net = seeded(program("dropout").with_tanh)
    assert not [module for module in net.modules() if isinstance(module, nn.ReLU)]
    assert sum(isinstance(module, nn.Tanh) for module in net.modules()) == 7
    assert 0.1 < net.features(images).std() < 1


def test_each_variant_gets_the_best_of_its_rates(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(config, "results_dir", tmp_path)
    tried = []

    def run(name, best, seed, rate, epochs):
        tried.append((name, seed, rate, epochs))
        return {"accuracy": 1 - abs(rate - best)}

    variants = {
        "a": lambda seed, **rest: run("a", 0.1, seed, **rest),
        "b": lambda seed, **rest: run("b", 0.4, seed, **rest),
    }
    rates = dict.fromkeys(variants, (0.1, 0.2, 0.4))
    full_length = program("full_length")
    full_length.run_study("toy", "a toy", variants, rates, seeds=2, epochs=6)
    assert [entry for entry in tried if entry[3] == 6] == [
        ("a", 1, 0.1, 6),
        ("b", 1, 0.4, 6),
        ("a", 2, 0.1, 6),
        ("b", 2, 0.4, 6),
    ]
    assert len([entry for entry in tried if entry[3] == 2]) == 6, "a third of the epochs"
    count = len(tried)
    full_length.run_study("toy", "a toy", variants, rates, seeds=2, epochs=6)
    assert len(tried) == count, "what is recorded is not trained again"
