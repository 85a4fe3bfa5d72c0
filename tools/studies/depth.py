"""Plain and residual networks of 20 and 56 layers: the paper's Figure 6, for notebook 05.

    .venv/bin/python tools/studies/depth.py [--depths 20 56] [--seeds 3]

Each entry keeps the accuracy after each epoch, on the pictures that it trains on and on the
held-out ones. Networks of 56 layers take three times as long as those of 20.
"""

import sys
from argparse import ArgumentParser
from functools import partial
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from full_length import measure, run_study, small_first

from utils.lesson import networks

RATES = (0.05, 0.1, 0.2)


def run(depth: int, residual: bool, seed: int, rate: float, epochs: int) -> dict[str, Any]:
    """One training of a network of notebook 05."""
    build = partial(networks("05_resnet").ResNet, depth, residual=residual)
    sizes = small_first(epochs)
    return measure(
        build, seed, rate=rate, epochs=epochs, size=sizes, training_accuracy=True, follow=True
    )


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--depths", type=int, nargs="*", default=[20, 56])
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    variants = {}
    for depth in options.depths:
        variants[f"plain, {depth} layers"] = partial(run, depth, False)
        variants[f"residual, {depth} layers"] = partial(run, depth, True)
    rates = dict.fromkeys(variants, RATES)
    run_study("depth", "ResNet, plain and residual", variants, rates, options.seeds)


if __name__ == "__main__":
    main()
