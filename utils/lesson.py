"""A notebook and what it left: the networks that it defines, its trained weights, the record of its run.

A network is defined in its notebook, because it is the lesson, and nowhere else. The cells that define it (imports,
blocks, network; no experiment and no data) carry the tag `network`; the last of them defines `course_network`.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR

from utils import config
from utils.data import Batches, balanced_indices, load_cifar10
from utils.machinery.checkpoint import load_weights, save_weights  # noqa: F401 (notebooks take these from here)
from utils.machinery.notebooks import build, metadata, networks, notebooks  # noqa: F401
from utils.machinery.record import write_record  # noqa: F401
from utils.machinery.stages import stage_table  # noqa: F401
from utils.train import History, evaluate, parameter_groups, train


def load_trained(net: nn.Module, folder: Path, own: bool = True) -> None:
    """Put trained weights into `net`, your own from `folder` (config.run_folder) or the course's; say which.

    own: which of the two if there are both.
    """
    path, whose = folder / "weights.safetensors", "your own"
    courses = config.checkpoints_dir / f"{folder.name}.safetensors"
    if not path.is_file() or (courses.is_file() and not own):
        path, whose = courses, "the course's"
    load_weights(net, path)
    print(f"Weights: {whose}, {config.relative(path)}.")


def read_record(name: str) -> dict[str, Any] | None:
    """The record of the run behind the course's weights of a notebook; None if it is not trained yet."""
    path = config.results_dir / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def network_to_show(net: nn.Module, history: History, folder: Path) -> tuple[nn.Module, History]:
    """The network to look at closely, with its history: the course's after a shorter run, else yours; says which."""
    record, data = read_record(folder.name), folder.parent.name
    yours = (
        f"Your network: {history.test_accuracy[-1]:.2%} after the {config.run.name} run."
        if len(history)
        else ""
    )
    if config.run.name == "full" or record is None or record["data"] != data:
        print(yours)
        return net, history
    load_weights(
        shown := build(folder.name).to(config.device),
        config.checkpoints_dir / f"{folder.name}.safetensors",
    )
    print(
        f"{yours} What follows shows the course's: {record['accuracy']:.2%} after {record['epochs']} epochs on all "
        f"{record['train_images']:,} images, {record['seconds'] / 60:.0f} minutes on {record['device']}."
    )
    return shown, History.from_lists(record["by_epoch"])


def ablation(
    variants: Mapping[str, Callable[[], nn.Module]],
    epochs: int = 6,
    *,
    images: int = 5_000,
    size: int = 24,
    batch_size: int = 32,
    seeds: int = 3,
) -> dict[str, list[float]]:
    """Train every variant of a network from several seeds, all alike: {variant: its accuracies, one a seed}.

    variants: what makes each network, by its name.  images: so many training images, of `size` pixels; in a quick run
    as many as that has, once.  batch_size: a quarter of the recipe's, and so is the peak of the rate. The accuracies
    are fractions of up to 5,000 other training images: the test set chooses nothing. The stop button ends all of it.
    """
    quick = config.run.name == "quick"
    train_set, held_out = load_cifar10(
        validation=5_000, run=config.run if quick else config.RUN_SIZES["full"]
    )
    train_set = train_set.subset(balanced_indices(train_set.labels, images))
    epochs, seeds, results = 1 if quick else epochs, 1 if quick else seeds, {}
    for name, build_variant in variants.items():
        for seed in range(1, seeds + 1):
            torch.manual_seed(seed)
            net = build_variant().to(config.device)
            loader = Batches(
                train_set, batch_size, shuffle=True, crop_padding=2, flip="alternating", resize=size
            )
            optimizer = torch.optim.SGD(
                parameter_groups(net, 5e-4), lr=0.05, momentum=0.9, nesterov=True
            )
            rise = {"pct_start": 0.2, "anneal_strategy": "linear", "cycle_momentum": False}
            scheduler = OneCycleLR(optimizer, max_lr=0.05, total_steps=epochs * len(loader), **rise)
            criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
            ten, tests = (
                Batches(part, 250, resize=size)
                for part in (held_out.subset(torch.arange(10)), held_out)
            )
            if (
                len(train(net, loader, ten, epochs, optimizer, criterion, scheduler, verbose=False))
                < epochs
            ):
                raise KeyboardInterrupt  # train() was stopped, and a net half trained has no place in the means
            results.setdefault(name, []).append(evaluate(net, tests).accuracy)
        accuracies = ", ".join(f"{accuracy:.1%}" for accuracy in results[name])
        print(f"{name}: {accuracies}; mean {np.mean(results[name]):.1%}")
    return results
