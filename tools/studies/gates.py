"""What do the gates of squeeze and excitation bring? For notebook 08, in ResNet-20.

    .venv/bin/python tools/studies/gates.py [--seeds 3]

Gates that have not learned yet are all about one half, and halve every branch. So a third network
has branches times one half and no gates: what it shares with the gated one is not the gates' work.
"""

import sys
from argparse import ArgumentParser
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from full_length import measure, run_study, small_first

from utils.lesson import networks

RATES = (0.1, 0.2, 0.4)
REDUCTION = 4  # the narrowest blocks have 16 channels: the paper's 16 would leave one neuron


class Half(nn.Module):
    """Gives one half of what it gets."""

    def forward(self, x: Tensor) -> Tensor:
        return x / 2


def at_the_end_of_each_branch(make: Callable[[int], nn.Module]) -> nn.Module:
    """ResNet-20, with a module behind the last batch norm of each block.

    make: gives the module for a number of channels. The other weights are those of plain ResNet-20.
    """
    net: nn.Module = networks("05_resnet").ResNet(20)
    for stage in net.stages:
        for block in stage:
            module = make(block.norm2.num_features)
            block.norm2 = nn.Sequential(block.norm2, module)
    return net


def plain() -> nn.Module:
    """ResNet-20 as notebook 05 has it."""
    net: nn.Module = networks("05_resnet").ResNet(20)
    return net


def gated() -> nn.Module:
    """With the gates of notebook 08."""
    gates = networks("08_senet").SqueezeExcitation
    return at_the_end_of_each_branch(partial(gates, reduction=REDUCTION))


def halved() -> nn.Module:
    """With one half for each gate."""
    return at_the_end_of_each_branch(lambda channels: Half())


def run(build: Callable[[], nn.Module], seed: int, rate: float, epochs: int) -> dict[str, Any]:
    """One training of such a network."""
    return measure(build, seed, rate=rate, epochs=epochs, size=small_first(epochs))


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    variants = {
        "no gates": partial(run, plain),
        "gates": partial(run, gated),
        "one half for each gate": partial(run, halved),
    }
    run_study("gates", "ResNet-20", variants, dict.fromkeys(variants, RATES), options.seeds)


if __name__ == "__main__":
    main()
