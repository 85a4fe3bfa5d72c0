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
"""

import os
import platform
from dataclasses import dataclass
from pathlib import Path

import torch
import torchvision


class ConfigError(ValueError):
    """A COURSE_* variable has a value that the course does not know."""


@dataclass(frozen=True)
class RunSize:
    """How much a run does; None stands for all images."""

    name: str
    train_images: int | None
    test_images: int | None


RUN_SIZES = {
    "full": RunSize("full", None, None),
    "short": RunSize("short", 5_000, 2_000),
    "quick": RunSize("quick", 256, 128),
}
DATA_SOURCES = ("auto", "official", "sample")
PRECISIONS = ("auto", "float32", "bfloat16", "float16")
VARIABLES = (
    "COURSE_RUN",
    "COURSE_EPOCHS",
    "COURSE_DEVICE",
    "COURSE_PRECISION",
    "COURSE_RESUME",
    "COURSE_DATA",
    "COURSE_DATA_DIR",
    "COURSE_RUNS_DIR",
)


def _choice(variable: str, choices: tuple[str, ...], default: str) -> str:
    value = os.environ.get(variable, "").strip().lower() or default
    if value not in choices:
        raise ConfigError(f"{variable}={value} is not known: set it to {' or '.join(choices)}, or unset it.")
    return value


def _whole_number(variable: str) -> int | None:
    value = os.environ.get(variable, "").strip()
    if value and not (value.isdecimal() and int(value) > 0):
        raise ConfigError(f"{variable}={value} is no number of epochs: set it to 1 or more, or unset it.")
    return int(value) if value else None


def _folder(variable: str, default: Path) -> Path:
    value = os.environ.get(variable, "").strip()
    try:
        return Path(value).expanduser().absolute() if value else default
    except RuntimeError as error:  # ~name, and there is no such user
        raise ConfigError(f"{variable}={value} is no folder: give its full path.") from error


def _device() -> torch.device:
    value = os.environ.get("COURSE_DEVICE", "").strip().lower()
    local_rank = os.environ.get("LOCAL_RANK")  # from torchrun: each process of a machine has its own GPU
    if local_rank and value in ("", "cuda") and torch.cuda.is_available():
        if int(local_rank) >= torch.cuda.device_count():
            raise ConfigError(
                f"There are more processes than GPUs here, which are {torch.cuda.device_count()}: "
                "start torchrun with --nproc-per-node=gpu, or set COURSE_DEVICE=cpu."
            )
        return torch.device("cuda", int(local_rank))
    if not value:
        if torch.cuda.is_available():
            return torch.device("cuda")
        # several processes cannot exchange what is on Apple's GPU
        return torch.device("mps" if torch.backends.mps.is_available() and not local_rank else "cpu")
    try:
        device = torch.device(value)
        torch.empty(1, device=device).sum().item()  # fails here, and not in the middle of a lesson
    except Exception as error:
        raise ConfigError(
            f"COURSE_DEVICE={value} cannot be used on this machine: set it to cpu, cuda or mps, or unset it."
        ) from error
    return device


def _check_names() -> None:
    for name in os.environ:
        if name.startswith("COURSE_") and name not in VARIABLES:
            raise ConfigError(
                f"{name} is not a setting of the course, which are {', '.join(VARIABLES)}: correct or unset it."
            )


_check_names()
root = Path(__file__).resolve().parent.parent
device = _device()
run = RUN_SIZES[_choice("COURSE_RUN", tuple(RUN_SIZES), "short" if device.type == "cpu" else "full")]
precision = _choice("COURSE_PRECISION", PRECISIONS, "auto")
resume = _choice("COURSE_RESUME", ("yes", "no"), "no") == "yes"
data_source = _choice("COURSE_DATA", DATA_SOURCES, "auto")
data_dir = _folder("COURSE_DATA_DIR", root / "data")
runs_dir = _folder("COURSE_RUNS_DIR", root / "data" / "runs")
samples_dir = root / "data" / "samples"
pictures = root / "data" / "images"
checkpoints = root / "data" / "checkpoints"  # trained weights that come with the course
results = root / "data" / "results"  # what the runs behind them measured
sync_batch_norm = False  # several processes: batch norms over the images of all (option of utils/script.py)
_epochs = _whole_number("COURSE_EPOCHS")


def epochs(full: int, short: int) -> int:
    """The number of epochs: COURSE_EPOCHS, else by the run size `full`, `short`, or 1 in the quick run."""
    return _epochs or {"full": full, "short": short, "quick": 1}[run.name]


def run_folder(notebook: str) -> Path:
    """The folder, made if need be, for what this run of a notebook writes: checkpoints, TensorBoard logs.

    Each run size has its own, so that a quick run never overwrites the weights of a full one.
    """
    folder = runs_dir / run.name / notebook
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"Nothing can be written in {relative(runs_dir)} ({error.strerror}): "
            "set COURSE_RUNS_DIR to a folder that you may write to."
        ) from error
    return folder


def relative(path: Path) -> str:
    """A path as readers see it: from the course's folder when it lies inside."""
    path = Path(path)
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def device_name() -> str:
    """The device in words, for example "NVIDIA H200" or "CPU with 2 threads"."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return "Apple GPU" if device.type == "mps" else f"CPU with {threads} thread{'' if threads == 1 else 's'}"


def show(dataset: str, epochs: int, full: str) -> None:
    """Print what this run is: the lines at the top of every notebook.

    `dataset` is the data set's name, `epochs` the number for this run, `full` says what a full run takes.
    """
    size = "all images"
    if run.train_images:
        size = f"{run.train_images:,} training and {run.test_images:,} test images"
    source = {
        "auto": f"{dataset}, or the built-in sample where it cannot be had",
        "official": dataset,
        "sample": "the built-in sample",
    }[data_source]
    versions = f"Python {platform.python_version()}, torch {torch.__version__}, torchvision {torchvision.__version__}"
    plural = ("epoch" if epochs == 1 else "epochs") + (" (COURSE_EPOCHS)" if _epochs else "")
    name = run.name.capitalize()
    print(f"{name} run: {size}, {epochs} {plural}, on {device_name()}. Data: {source}. {versions}.")
    print(f"Full run: {full}. Other sizes: set COURSE_RUN to quick, short or full and start Jupyter again.")
