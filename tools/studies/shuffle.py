"""What does the channel shuffle bring ShuffleNet v2 x0.5? For notebook 13.

    .venv/bin/python tools/studies/shuffle.py [--seeds 3]

Without it, half of the channels pass every basic unit of a stage untouched.
"""

import sys
from argparse import ArgumentParser
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


def network(shuffled: bool) -> nn.Module:
    """The network of notebook 13 at half its width, with or without the shuffles."""
    lesson = networks("13_shufflenet_v2")

    def undo_shuffle(unit: nn.Module, inputs: tuple, outputs: Tensor) -> Tensor:
        """The inverse of a shuffle of 2 groups is one of C / 2 groups."""
        in_order: Tensor = lesson.channel_shuffle(outputs, groups=outputs.shape[1] // 2)
        return in_order

    net: nn.Module = lesson.ShuffleNetV2(width=0.5)
    if not shuffled:
        for stage in net.stages:
            for unit in stage:
                unit.register_forward_hook(undo_shuffle)
    return net


def run(shuffled: bool, seed: int, rate: float, epochs: int) -> dict[str, Any]:
    """One training of it."""
    build = partial(network, shuffled)
    return measure(build, seed, rate=rate, epochs=epochs, size=small_first(epochs))


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    variants = {"with the shuffle": partial(run, True), "without": partial(run, False)}
    rates = dict.fromkeys(variants, RATES)
    run_study("shuffle", "ShuffleNet v2 x0.5", variants, rates, options.seeds)


if __name__ == "__main__":
    main()
