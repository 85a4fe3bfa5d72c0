"""What did each step from the LeNet of 1998 to today's bring? For notebook 01.

    .venv/bin/python tools/studies/lenet.py [--seeds 3]

One part is changed after the other, as in the notebook's experiment, at full length.
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

from full_length import measure, run_study

from utils.lesson import networks

CODE_RATES = (0.001, 0.003, 0.01)  # distances are large numbers, so steps are short
SCORE_RATES = (0.02, 0.06, 0.2)


def distance(minus_distances: Tensor, labels: Tensor) -> Tensor:
    """The paper's Equation 8; minus_distances: [N, classes], labels: [N]."""
    return -minus_distances.gather(1, labels[:, None]).mean()


def distance_with_competition(minus_distances: Tensor, labels: Tensor) -> Tensor:
    """The paper's Equation 9, with j = 100: one more class, which is never right."""
    one_more = torch.full_like(minus_distances[:, :1], -100)
    logits = torch.cat([minus_distances, one_more], dim=1)
    return nn.functional.cross_entropy(logits, labels)


def run(
    parts: dict[str, Any],
    criterion: Callable[[Tensor, Tensor], Tensor],
    seed: int,
    rate: float,
    epochs: int,
) -> dict[str, Any]:
    """One training of a LeNet with these parts of 1998."""
    build = partial(networks("01_lenet").LeNet5, **parts)
    return measure(build, seed, rate=rate, epochs=epochs, criterion=criterion)


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    tanh = networks("01_lenet").ScaledTanh
    old = {"activation": tanh, "old_pool": True, "table": True, "codes": True}
    scores = old | {"codes": False}
    joined = scores | {"table": False}
    max_pool = joined | {"old_pool": False}
    cross_entropy = nn.CrossEntropyLoss()
    variants = {
        "1998": partial(run, old, distance),
        "its second loss": partial(run, old, distance_with_competition),
        "scores": partial(run, scores, cross_entropy),
        "all maps joined": partial(run, joined, cross_entropy),
        "max-pool": partial(run, max_pool, cross_entropy),
        "ReLU: today": partial(run, {}, cross_entropy),
    }
    rates = dict.fromkeys(variants, SCORE_RATES)
    rates |= {"1998": CODE_RATES, "its second loss": CODE_RATES}
    run_study("lenet", "LeNet-5", variants, rates, options.seeds)


if __name__ == "__main__":
    main()
