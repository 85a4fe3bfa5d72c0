"""What the studies share: the recipe at full length, on all of CIFAR-10 but 5,000 held-out images.

A study changes one thing. Each of its variants has the best of three peaks of the learning rate,
chosen once: with one seed and a third of the epochs, on the held-out images.
"""

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn

from utils import config
from utils.data import ImageSet, load_cifar10
from utils.experiment import accuracy_on, read_study, study, trial

EPOCHS = 15
SHIFT = 2  # pixels, of the random crops: the recipe's


def small_first(epochs: int) -> dict[int, int]:
    """The recipe's sizes of images: 24 pixels for three quarters of the epochs, then 32."""
    return {1: 24, 1 + epochs * 3 // 4: 32}


@cache
def images() -> tuple[ImageSet, ImageSet]:
    """45,000 images to learn from and 5,000 to judge by; the test images are never looked at."""
    return load_cifar10(validation=5_000, run=config.RUN_SIZES["full"], source="official")


def measure(
    build: Callable[[], nn.Module],
    seed: int,
    *,
    rate: float,
    epochs: int = EPOCHS,
    size: int | dict[int, int] | None = None,
    criterion: Callable[[Any, Tensor], Tensor] | None = None,
    weight_decay: float = 5e-4,
    training_accuracy: bool = False,
    follow: bool = False,
) -> dict[str, Any]:
    """One training with the recipe, and what it reached; the entry of a study.

    training_accuracy: also a clean pass over the first 10,000 training images, neither shifted nor
    flipped, as "learned by heart" is judged.  follow: also the errors after each epoch, those of
    training as its running means.
    """
    train_set, held_out = images()
    done = trial(
        build,
        train_set,
        held_out,
        epochs,
        seed=seed,
        rate=rate,
        batch_size=128,
        size=size,
        criterion=criterion,
        weight_decay=weight_decay,
        crop_padding=SHIFT,
        follow=follow,
    )
    entry = {
        "accuracy": done.accuracy,
        "rate": rate,
        "train_loss": [round(loss, 4) for loss in done.history.train_loss],
        "precision": done.history.precision,
        "torch": torch.__version__,
    }
    if training_accuracy:
        seen = train_set.subset(torch.arange(10_000))
        entry["training_accuracy"] = accuracy_on(done.net, seen, done.history.height[-1])
    if follow:
        entry["train_accuracy"] = [round(share, 4) for share in done.history.train_accuracy]
        entry["held_out_accuracy"] = [round(share, 4) for share in done.history.test_accuracy]
    return entry


def run_study(
    name: str,
    network: str,
    variants: Mapping[str, Callable[..., dict[str, Any]]],
    rates: Mapping[str, tuple[float, ...]],
    seeds: int,
    epochs: int = EPOCHS,
) -> None:
    """Choose a rate for each variant, then train it from every seed; both go to data/results/.

    variants: by name, a function of (seed, rate=, epochs=) that gives an entry. What is in the
    files already is not trained again, so a study that was stopped goes on where it was.
    """
    setting = {"network": network, "training_images": 45_000, "held_out_images": 5_000}
    chosen = choose_rates(name, setting, variants, rates, max(1, epochs // 3))
    runs = {
        variant: partial(run, rate=chosen[variant], epochs=epochs)
        for variant, run in variants.items()
    }
    path = config.results_dir / f"study_{name}.json"
    study(path, setting | {"epochs": epochs}, runs, range(1, seeds + 1))


def choose_rates(
    name: str,
    setting: Mapping[str, Any],
    variants: Mapping[str, Callable[..., dict[str, Any]]],
    rates: Mapping[str, tuple[float, ...]],
    epochs: int,
) -> dict[str, float]:
    """For each variant the rate that reached most in a third of the epochs, from seed 1."""
    tries = {}
    for variant, run in variants.items():
        for rate in rates[variant]:
            tries[f"{variant}, rate {rate}"] = partial(run, rate=rate, epochs=epochs)
    path = config.results_dir / f"study_{name}_rates.json"
    study(path, {**setting, "epochs": epochs}, tries, [1])

    best: dict[str, tuple[float, float]] = {}
    reached = read_study(f"{name}_rates").values("accuracy")
    for variant in variants:
        for rate in rates[variant]:
            accuracy = reached[f"{variant}, rate {rate}"][0]
            if variant not in best or accuracy > best[variant][0]:
                best[variant] = (accuracy, rate)
    return {variant: rate for variant, (_, rate) in best.items()}
