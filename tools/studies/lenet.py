"""What did each step from the LeNet of 1998 to today's bring? For notebook 01, about an hour.

    .venv/bin/python tools/studies/lenet.py [--seeds 5]

One part is changed after the other, as in the notebook's experiment, at full length.
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

from full_length import measure, run_study

from utils.lesson import networks

RATES = (0.02, 0.06, 0.2)


def to_codes(minus_distances: Tensor, labels: Tensor) -> Tensor:
    """The simpler of the paper's two losses: the squared distance to the right class's code."""
    return -minus_distances.gather(1, labels[:, None]).mean() / 84


def run(parts: dict[str, Any], seed: int, rate: float, epochs: int) -> dict[str, Any]:
    """One training of a LeNet with these parts of 1998."""
    lesson = networks("01_lenet")
    smooth = nn.CrossEntropyLoss(label_smoothing=0.1)
    criterion = to_codes if parts.get("codes") else smooth
    build = partial(lesson.LeNet5, **parts)
    return measure(build, seed, rate=rate, epochs=epochs, criterion=criterion)


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    tanh = networks("01_lenet").ScaledTanh
    old = {"activation": tanh, "old_pool": True, "table": True, "codes": True}
    steps = {
        "1998": old,
        "cross-entropy": old | {"codes": False},
        "all maps joined": {"activation": tanh, "old_pool": True},
        "max-pool": {"activation": tanh},
        "ReLU: today": {},
    }
    variants = {name: partial(run, parts) for name, parts in steps.items()}
    run_study("lenet", "LeNet-5", variants, dict.fromkeys(steps, RATES), options.seeds)


if __name__ == "__main__":
    main()
