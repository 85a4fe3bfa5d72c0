"""The record of a run, JSON: what was trained, how fast and on what, and from which commit."""

import json
import math
import platform
import statistics
import subprocess
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from utils import config
from utils.machinery.checkpoint import CheckpointError, describe, write_bytes
from utils.machinery.precision import autocast_dtype, device_name
from utils.machinery.printing import print_lines
from utils.machinery.randomness import same_random_numbers
from utils.machinery.stages import count


def write_record(
    path: Path,
    network: str,
    net: nn.Module,
    train_loader: Any,
    history: Any,
    test: Any,
    optimizer: torch.optim.Optimizer,
    criterion: nn.Module,
    scheduler: Any = None,
) -> dict[str, Any]:
    """Write what a run was and measured, as JSON, and return it; what cannot be known is null.

    network: its name, as the table shows it.  test: what `evaluate` found. Accuracies are
    fractions, seconds those of training and testing, speeds medians over the epochs with images of
    full size, multiply-adds those of one image. A DataLoader does not know its data's name.
    """
    shape = _image_shape(train_loader)
    settings = describe(net, train_loader, optimizer, criterion, scheduler)
    settings["network"] = type(net).__name__
    dtype = str(autocast_dtype(config.device, config.precision)).removeprefix("torch.")
    record = {
        "network": network,
        "data": getattr(train_loader, "name", None),
        "run": config.run.name,
        "train_images": _number_of_images(train_loader),
        "test_images": len(test.labels),
        "image_shape": shape,
        "accuracy": test.accuracy,
        "class_accuracy": _class_accuracy(test, getattr(train_loader, "classes", None)),
        "epochs": len(history),
        "seconds": sum(history.seconds),
        "images_per_second": _speed(history, shape[1]),
        "device": history.device or device_name(config.device),
        "processor": _processor(),
        "precision": history.precision or dtype,
        "threads": torch.get_num_threads(),
        "parameters": sum(p.numel() for p in net.parameters()),
        "mult_adds": count(net, shape).mult_adds[net],
        "by_epoch": _by_epoch(history),
        "settings": settings,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "torchvision": version("torchvision"),
        },
        "commit": _commit(),
    }
    return write(record, path)


def write(record: dict[str, Any], path: Path) -> dict[str, Any]:
    """Write a record as JSON, null for what is no number; returns it. A full disk costs no run."""
    record = json.loads(json.dumps(record), parse_constant=lambda _: None)
    text = json.dumps(record, indent=1, allow_nan=False) + "\n"
    try:
        write_bytes(text.encode(), Path(path))
    except (CheckpointError, OSError) as error:
        print_lines(f"WARNING: this run has no record. {error}")
    return record


def _image_shape(loader: Any) -> tuple[int, ...]:
    """[C, H, W] of the images that a loader gives; random numbers go on as if none were drawn."""
    with same_random_numbers():
        images, _ = next(iter(loader))
    return tuple(images.shape[1:])


def _number_of_images(loader: Any) -> int | None:
    """Of a Batches, or of a DataLoader's data set if that knows."""
    images = getattr(loader, "labels", getattr(loader, "dataset", ()))
    return len(images) if hasattr(images, "__len__") else None


def _class_accuracy(test: Any, names: tuple[str, ...] | None) -> dict[str, float]:
    """For each class the share of its images that are right; nan if there are none."""
    right = test.probabilities.argmax(1) == test.labels
    if names is None:
        names = tuple(map(str, range(test.probabilities.shape[1])))
    return {
        name: right[test.labels == label].float().mean().item() for label, name in enumerate(names)
    }


def _speed(history: Any, height: int) -> float:
    """Images a second, the median of the epochs with images of full size; nan without any."""
    epochs = zip(history.images_per_second, history.height, strict=True)
    speeds = [speed for speed, epoch_height in epochs if epoch_height == height]
    return statistics.median(speeds) if speeds else math.nan


def _by_epoch(history: Any) -> dict[str, list]:
    """What the history holds, with every tenth of the batches' learning rates in four digits."""
    lists: dict[str, list] = history.as_lists()
    lists["learning_rates"] = [
        [float(f"{rate:.4g}") for rate in rates[::10]] for rates in history.learning_rates
    ]
    return lists


def _processor() -> str | None:
    """The processor's name: on Linux from the system's own list, else what Python knows."""
    with suppress(OSError):
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        for line in text.splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or None


def _commit() -> str | None:
    """The commit that ran, "-dirty" if files were changed; None outside the course's own git."""
    if not (config.root / ".git").exists():
        return None
    command = ["git", "-C", str(config.root), "describe"]
    command += ["--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
