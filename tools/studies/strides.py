"""What do strides that fit 32 × 32 pixels bring MobileNet v2? For notebook 10: the paper's strides.

    .venv/bin/python tools/studies/strides.py [--seeds 3]

The paper's strides leave a map of 1 × 1 and a fourteenth of the multiply-adds, but not of the time,
since maps that small keep a core waiting: a training takes about an hour of one core. The fitted
strides take two hours of two cores a seed, so they are run with --fitted.
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

RATES = (0.1, 0.2, 0.4)


def run(strides: str, seed: int, rate: float, epochs: int) -> dict[str, Any]:
    """One training of MobileNet v2 with these strides."""
    lesson = networks("10_mobilenet_v2")
    build = partial(lesson.MobileNetV2, strides=getattr(lesson, strides))
    return measure(build, seed, rate=rate, epochs=epochs, size=small_first(epochs))


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--fitted", action="store_true", help="also the strides for CIFAR-10")
    options = parser.parse_args()
    torch.set_num_threads(1)
    variants = {"the paper's strides": partial(run, "IMAGENET_STRIDES")}
    if options.fitted:
        variants["strides for CIFAR-10"] = partial(run, "CIFAR10_STRIDES")
    rates = dict.fromkeys(variants, RATES)
    run_study("strides", "MobileNet v2", variants, rates, options.seeds)


if __name__ == "__main__":
    main()
