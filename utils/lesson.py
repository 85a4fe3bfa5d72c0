"""A notebook and what it left: its networks, its trained weights, the record of its run.

A network is defined in its notebook, because it is the lesson, and nowhere else. The cells that
define it (imports, blocks, network; no experiment and no data) carry the tag `network`; the last of
them defines `course_network`.
"""

import json
from itertools import groupby
from pathlib import Path
from typing import Any

from torch import nn

from utils import config
from utils.machinery.checkpoint import CheckpointError, load_weights, save_weights
from utils.machinery.notebooks import build, metadata, networks, notebooks
from utils.machinery.printing import print_lines
from utils.machinery.record import write_record
from utils.machinery.stages import count, stage_table
from utils.train import History

__all__ = [
    "build",
    "load_trained",
    "load_weights",
    "metadata",
    "multiply_adds",
    "network_to_show",
    "networks",
    "notebooks",
    "peer_table",
    "read_record",
    "save_weights",
    "stage_table",
    "write_record",
]
NO_FIT = "the course's are of another network than this one"


def read_record(name: str) -> dict[str, Any] | None:
    """The record behind the course's weights of a notebook; None if it is not trained yet."""
    path = config.results_dir / f"{name}.json"
    if not path.is_file():
        return None
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


def load_trained(net: nn.Module, folder: Path, own: bool = True) -> None:
    """Put trained weights into `net`, your own from `folder` or the course's; say which.

    folder: of the run, config.run_folder.  own: which of the two if there are both. Yours are taken
    as well where the course's are of another data set or another network.
    """
    yours = folder / "weights.safetensors"
    courses = _course_weights(folder)
    if not yours.is_file():
        _load(net, courses, "the course's")
        return
    reason = None if own else _why_not_the_courses(net, folder)
    if own or reason is not None:
        _load(net, yours, "your own" if reason is None else f"your own, since {reason}")
        return
    try:
        _load(net, courses, "the course's")
    except CheckpointError:
        _load(net, yours, f"your own, since {NO_FIT}")


def network_to_show(net: nn.Module, history: History, folder: Path) -> tuple[nn.Module, History]:
    """The network to look at closely, with its history: the course's after a shorter run, or yours.

    It says which. Yours is shown as well where the course's is of another data set or another
    network.
    """
    record = read_record(folder.name)
    if len(history):
        print(f"Your network: {history.test_accuracy[-1]:.2%} after the {config.run.name} run.")
    if config.run.name == "full" or record is None:
        return net, history
    reason = _why_not_the_courses(net, folder)
    if reason is not None:
        print(f"What follows shows yours, since {reason}.")
        return net, history
    courses = build(folder.name).to(config.device)
    try:
        load_weights(courses, _course_weights(folder))
    except CheckpointError:
        print(f"What follows shows yours, since {NO_FIT}.")
        return net, history
    print_lines(
        f"What follows shows the course's: {record['accuracy']:.2%} after {record['epochs']} "
        f"epochs on all {record['train_images']:,} images, {record['seconds'] / 60:.0f} minutes "
        f"on {record['device']}."
    )
    shown = History.from_lists(record["by_epoch"], record["device"], record.get("precision", ""))
    return courses, shown


def multiply_adds(net: nn.Module, shape: tuple[int, ...]) -> int:
    """Multiply-adds of a network, or of a part of one, for one image or one map [C, H, W].

    They are those of convolutions, linear layers, matrix products and attention.
    """
    return count(net, shape).mult_adds[net]


def peer_table(name: str) -> None:
    """Print what the course's networks reach on a notebook's data set; an arrow marks its own.

    The accuracies are those on all test images after the course's full runs, one run each.
    """
    record = read_record(name)
    data_set = record["data"] if record else "CIFAR-10"
    print(
        f"{'':22}{'accuracy':>11}{'parameters':>13}{'multiply-adds':>15}  epochs at pixels a side"
    )
    for other in notebooks():
        peer = read_record(other)
        if peer is None or peer["data"] != data_set:
            continue
        arrow = "→ " if other == name else "  "
        print(
            f"{arrow}{peer['network']:20}{100 * peer['accuracy']:9.2f} %{peer['parameters']:13,}"
            f"{peer['mult_adds'] / 1e6:13.1f} M  {_epochs(peer['by_epoch']['height'])}"
        )


def _epochs(heights: list[int]) -> str:
    """How many epochs in a row had images of one height: "11 at 24, 4 at 32"."""
    parts = [f"{len(list(epochs))} at {height}" for height, epochs in groupby(heights)]
    return ", ".join(parts)


def _load(net: nn.Module, path: Path, whose: str) -> None:
    load_weights(net, path)
    print_lines(f"Weights: {whose}, {config.relative(path)}.")


def _course_weights(folder: Path) -> Path:
    """Where the weights lie that come with the course, of the notebook that made a run folder."""
    return config.checkpoints_dir / f"{folder.name}.safetensors"


def _why_not_the_courses(net: nn.Module, folder: Path) -> str | None:
    """Why the course's weights do not serve for this network and its data; None if they do."""
    record = read_record(folder.name)
    if not _course_weights(folder).is_file():
        return "the course has none of this network"
    if record is None:
        return None
    if record["data"] != folder.parent.name:
        return "the course's are of another data set"
    same_size = record["parameters"] == sum(p.numel() for p in net.parameters())
    if not same_size or record["mult_adds"] != count(net, record["image_shape"]).mult_adds[net]:
        return NO_FIT
    return None
