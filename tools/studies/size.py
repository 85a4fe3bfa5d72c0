"""Do small pictures first bring anything at equal minutes? For the recipe, and notebooks 00 and 10.

    .venv/bin/python tools/studies/size.py [--network resnet|shufflenet] [--seeds 5]

Fifteen epochs, eleven at 24 pixels and four at 32, against eleven epochs at 32 pixels throughout:
about as many minutes, which each entry keeps. So run it on cores that do nothing else.
"""

import sys
from argparse import ArgumentParser
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from full_length import measure, run_study, small_first

from utils.lesson import networks

RATES = (0.1, 0.2, 0.4)


def resnet() -> nn.Module:
    """The network of notebook 05."""
    net: nn.Module = networks("05_resnet").ResNet(20)
    return net


def shufflenet() -> nn.Module:
    """That of notebook 13, at half its width."""
    net: nn.Module = networks("13_shufflenet_v2").ShuffleNetV2(width=0.5)
    return net


NETWORKS = {"resnet": ("ResNet-20", resnet), "shufflenet": ("ShuffleNet v2 x0.5", shufflenet)}


def small_pictures_first(
    build: Callable[[], nn.Module], seed: int, rate: float, epochs: int
) -> dict[str, Any]:
    """One training with the recipe."""
    return measure(build, seed, rate=rate, epochs=epochs, size=small_first(epochs))


def full_size_throughout(
    build: Callable[[], nn.Module], seed: int, rate: float, epochs: int
) -> dict[str, Any]:
    """One training of about as many minutes: eleven epochs in place of fifteen."""
    return measure(build, seed, rate=rate, epochs=epochs * 11 // 15)


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--network", choices=NETWORKS, nargs="*", default=list(NETWORKS))
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for choice in options.network:
        name, build = NETWORKS[choice]
        variants = {
            f"{name}, 24 then 32": partial(small_pictures_first, build),
            f"{name}, 32 throughout": partial(full_size_throughout, build),
        }
        both = " and ".join(title for title, _ in NETWORKS.values())
        run_study("size", both, variants, dict.fromkeys(variants, RATES), options.seeds)


if __name__ == "__main__":
    main()
