"""The record of a run, JSON: what was trained, how fast and on what, with which recipe, from which commit."""

import json
import math
import platform
import statistics
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from utils import config
from utils.machinery.checkpoint import CheckpointError, describe, write_bytes
from utils.machinery.precision import autocast_dtype, device_name
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
    """Write what a run was and what it measured, as JSON, and return it; what cannot be known is null.

    network: its name, as the table shows it.  test: what `evaluate` found. Accuracies are fractions, seconds those of
    training and testing, speeds medians over the epochs with images of full size; multiply-adds are those of one image
    in convolutions and linear layers. A DataLoader does not know its data's name.
    """
    right, k = test.probabilities.argmax(1) == test.labels, test.probabilities.shape[1]
    shares = [
        right[test.labels == label].float().mean().item() for label in range(k)
    ]  # nan: no images
    images = getattr(train_loader, "labels", getattr(train_loader, "dataset", None))
    image_shape = list(next(iter(train_loader))[0].shape[1:])
    full_size = [height == image_shape[1] for height in history.height]
    speeds = [v for v, full in zip(history.images_per_second, full_size, strict=False) if full]
    by_epoch = history.as_lists()
    by_epoch["learning_rates"] = [
        [float(f"{r:.4g}") for r in rates[::10]] for rates in history.learning_rates
    ]
    settings = describe(net, train_loader, optimizer, criterion, scheduler) | {
        "network": type(net).__name__
    }
    versions = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": version("torchvision"),
    }
    record = {
        "network": network,
        "data": getattr(train_loader, "name", None),
        "run": config.run.name,
        "train_images": len(images) if hasattr(images, "__len__") else None,
        "test_images": len(test.labels),
        "image_shape": image_shape,
        "accuracy": test.accuracy,
        "class_accuracy": dict(
            zip(getattr(train_loader, "classes", None) or map(str, range(k)), shares, strict=True)
        ),
        "epochs": len(history),
        "seconds": sum(history.seconds),
        "images_per_second": statistics.median(speeds or [math.nan]),
        "device": history.device or device_name(config.device),
        "precision": history.precision
        or str(autocast_dtype(config.device, config.precision)).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "parameters": sum(p.numel() for p in net.parameters()),
        "mult_adds": sum(count(net, image_shape)[1].values()),
        "by_epoch": by_epoch,
        "settings": settings,
        "versions": versions,
        "commit": _commit(),
    }
    return write(record, path)


def write(record: dict[str, Any], path: Path) -> dict[str, Any]:
    """Write a record as JSON, with null for what is not a number, and return it so. A full disk costs no run."""
    record = json.loads(json.dumps(record), parse_constant=lambda _: None)
    try:
        write_bytes((json.dumps(record, indent=1, allow_nan=False) + "\n").encode(), Path(path))
    except (CheckpointError, OSError) as error:
        print(f"WARNING: this run has no record. {error}")
    return record


def _commit() -> str | None:
    """The commit of the course that ran, "-dirty" if files were changed; None outside its own git repository."""
    if not (config.root / ".git").exists():
        return None
    command = [
        "git",
        "-C",
        str(config.root),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=40",
        "--exclude=*",
    ]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
