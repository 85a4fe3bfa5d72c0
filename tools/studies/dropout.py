"""What do dropout and ReLU bring AlexNet? For notebook 02.

    .venv/bin/python tools/studies/dropout.py [--seeds 3]

Each network has its own rate, and tanh its own first weights. Each entry keeps the accuracy on
training pictures, too, neither shifted nor flipped.
"""

import sys
from argparse import ArgumentParser
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from full_length import measure, run_study, small_first

from utils.lesson import networks

RATES = (0.02, 0.05, 0.1)


def with_tanh() -> nn.Module:
    """AlexNet with tanh for each ReLU, and first weights that fit."""
    net: nn.Module = networks("02_alexnet").AlexNet()
    for part in (net.features, net.classifier):
        for number, module in enumerate(part):
            if isinstance(module, nn.ReLU):
                part[number] = nn.Tanh()
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="tanh")
    nn.init.normal_(net.classifier[-1].weight, std=0.01)
    return net


def run(parts: dict[str, Any], seed: int, rate: float, epochs: int) -> dict[str, Any]:
    """One training of AlexNet with these arguments, or with tanh."""
    build = partial(networks("02_alexnet").AlexNet, **parts) if parts else with_tanh
    sizes = small_first(epochs)
    return measure(build, seed, rate=rate, epochs=epochs, size=sizes, training_accuracy=True)


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    variants = {
        "dropout, ReLU": partial(run, {"dropout": 0.5}),
        "no dropout, ReLU": partial(run, {"dropout": 0.0}),
        "dropout, tanh": partial(run, {}),
    }
    run_study("dropout", "AlexNet", variants, dict.fromkeys(variants, RATES), options.seeds)


if __name__ == "__main__":
    main()
