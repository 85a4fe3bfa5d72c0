"""Device, run size and folders: what the environment says, read once when this module is imported.

Eight variables, all optional, set before Jupyter starts:

    COURSE_RUN        full, short or quick: how much data and how many epochs
    COURSE_EPOCHS     a number of epochs, instead of the notebook's own
    COURSE_DEVICE     cuda, cuda:1, mps or cpu
    COURSE_PRECISION  auto, float32, bfloat16 or float16: what train() calculates in
    COURSE_RESUME     yes: train() goes on from its checkpoint if there is one
    COURSE_DATA       auto, official (fail rather than fall back) or sample
    COURSE_DATA_DIR   the folder of the data sets, instead of data/
    COURSE_RUNS_DIR   the folder for checkpoints and TensorBoard logs, instead of data/runs/

Relative folders count from the course's root, wherever Jupyter was started.
"""

import datetime
import difflib
import os
import platform
import re
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import torch

from utils.machinery.hardware import (
    ConfigError,
    autocast_dtype,
    device_name,
    keep_large_blocks,
    working_device,
)


class RunSize(NamedTuple):
    """How much a run does; None stands for all images."""

    name: str
    train_images: int | None
    test_images: int | None


RUN_SIZES = {
    "full": RunSize("full", None, None),
    "short": RunSize("short", 5_000, 2_000),
    "quick": RunSize("quick", 32, 32),
}
VARIABLES = re.findall(r"COURSE_\w+", __doc__)


def _text(variable: str) -> str:
    return os.environ.get(variable, "").strip()


def _choice(variable: str, *values: str, default: str) -> str:
    value = _text(variable).lower() or default
    if value not in values:
        raise ConfigError(
            f"{variable}={value} is not known: set it to {' or '.join(values)}, or unset it."
        )
    return value


for (
    _name
) in os.environ:  # a slip in one of ours; somebody else's, COURSE_ID say, is none of our business
    if _name.startswith("COURSE_") and _name not in VARIABLES:
        for _meant in difflib.get_close_matches(_name, VARIABLES, 1, 0.85):
            print(f"WARNING: {_name} is no setting of the course; {_meant} is.")

root = Path(__file__).resolve().parent.parent
keep_large_blocks()
device = working_device(_text("COURSE_DEVICE").lower(), _text("LOCAL_RANK"))
run = RUN_SIZES[
    _choice("COURSE_RUN", *RUN_SIZES, default="short" if device.type == "cpu" else "full")
]
precision = _choice("COURSE_PRECISION", "auto", "float32", "bfloat16", "float16", default="auto")
resume = _choice("COURSE_RESUME", "no", "yes", default="no") == "yes"
data_source = _choice("COURSE_DATA", "auto", "official", "sample", default="auto")
data_dir = root / os.path.expanduser(_text("COURSE_DATA_DIR") or "data")
runs_dir = root / os.path.expanduser(_text("COURSE_RUNS_DIR") or "data/runs")
samples_dir = root / "data" / "samples"
pictures = root / "data" / "images"
checkpoints_dir = root / "data" / "checkpoints"  # trained weights that come with the course
results_dir = root / "data" / "results"  # what the runs behind them measured
if not re.fullmatch(r"|[1-9]\d*", _text("COURSE_EPOCHS")):
    raise ConfigError(
        f"COURSE_EPOCHS={_text('COURSE_EPOCHS')} is no number from 1 up: correct or unset it."
    )


def epochs(full: int, short: int) -> int:
    """The number of epochs: COURSE_EPOCHS, else by the run size `full`, `short`, or 1 in the quick run."""
    return int(_text("COURSE_EPOCHS") or {"full": full, "short": short, "quick": 1}[run.name])


def run_folder(notebook: str, data: str) -> Path:
    """The folder, made if need be, for what a run of a notebook writes: one for each run size and data set."""
    folder = runs_dir / run.name / data / notebook
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{folder} cannot be made: set COURSE_RUNS_DIR to another folder."
        ) from error
    return folder


def start_name() -> str:
    """A name for this start of a training, so that TensorBoard shows a curve of its own for each."""
    return f"{datetime.datetime.now():%Y-%m-%d_%H-%M-%S-%f}"


def relative(path: Path) -> str:
    """A path as readers see it: from the course's folder when it lies inside."""
    path = Path(path)
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def show(dataset: str, epochs: int, full: str) -> None:
    """Print what this run is: the lines at the top of every notebook.

    `dataset` is the data set's name, `epochs` the number for this run, `full` says what a full run takes.
    """
    images = (
        f"{run.train_images:,} training and {run.test_images:,} test images"
        if run.train_images
        else "all images"
    )
    by_network = (
        device.type == "cpu" and precision == "auto"
    )  # then train() says what it calculates in
    calculated = (
        "" if by_network else f" in {autocast_dtype(device, precision)}".replace("torch.", "")
    )
    source = {
        "auto": f"{dataset}, or the built-in sample where it cannot be had",
        "official": dataset,
    }
    print(
        f"{run.name.capitalize()} run: {images}, {epochs} epoch{'' if epochs == 1 else 's'}, on "
        f"{device_name(device)}{calculated}. Data: {source.get(data_source, 'the built-in sample')}. "
        f"Python {platform.python_version()}, torch {torch.__version__}, torchvision {version('torchvision')}."
    )
    print(
        f"A full run: {full}. Other sizes: set COURSE_RUN to quick, short or full and start Jupyter again."
    )
