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
from torchinfo import summary

from utils import config
from utils.machinery.checkpoint import CheckpointError, describe, write_bytes
from utils.machinery.hardware import autocast_dtype, device_name


def of_training(net: nn.Module, loader: Any, history: Any) -> dict[str, Any]:
    """What was trained, for how long, and on what. `loader` may be a DataLoader, which does not know its data's name."""
    images = getattr(loader, "labels", getattr(loader, "dataset", None))
    image_shape = list(next(iter(loader))[0].shape[1:])
    left_out = ("learning_rates", "device", "precision")
    return {
        "data": getattr(loader, "name", None),
        "run": config.run.name,
        "train_images": len(images) if hasattr(images, "__len__") else None,
        "image_shape": image_shape,
        "epochs": len(history),
        "seconds": sum(history.seconds),
        "seconds_an_epoch": statistics.median(history.seconds or [math.nan]),
        "images_per_second": statistics.median(history.images_per_second or [math.nan]),
        "device": history.device or device_name(config.device),
        "precision": history.precision or str(autocast_dtype(config.device, config.precision)).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "parameters": sum(p.numel() for p in net.parameters()),
        "mult_adds": summary(net, (1, *image_shape), verbose=0).total_mult_adds,
        "by_epoch": {name: values for name, values in vars(history).items() if name not in left_out},
    }


def of_recipe(net: nn.Module, loader: Any, optimizer: Any, criterion: Any, scheduler: Any) -> dict[str, Any]:
    """The recipe as a checkpoint describes it, the versions of what ran it, and the commit."""
    settings = describe(net, loader, optimizer, criterion, scheduler)
    versions = {"python": platform.python_version(), "torch": torch.__version__, "torchvision": version("torchvision")}
    return {"settings": settings | {"network": type(net).__name__}, "versions": versions, "commit": _commit()}


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
    command = ["git", "-C", str(config.root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
