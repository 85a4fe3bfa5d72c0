"""Device, run size and folders: what the environment says, read once when this module is imported.

Nine variables, all optional. Set them before Jupyter starts, or in a cell above the imports
(%env COURSE_RUN=full):

    COURSE_RUN        full, short or quick: how much data and how many epochs
    COURSE_EPOCHS     a number of epochs, instead of the notebook's own
    COURSE_DEVICE     cuda, cuda:1, mps or cpu
    COURSE_PRECISION  auto, float32, bfloat16 or float16: what train() calculates in
    COURSE_RESUME     yes: train() goes on from its checkpoint if there is one
    COURSE_THREADS    how many threads PyTorch takes, where several notebooks share a machine
    COURSE_DATA       auto, official (fail rather than fall back) or sample
    COURSE_DATA_DIR   the folder of the data sets, instead of data/
    COURSE_RUNS_DIR   the folder for checkpoints and TensorBoard logs, instead of data/runs/

Relative folders count from the course's root, wherever Jupyter was started.
"""

import contextlib
import ctypes
import datetime
import difflib
import os
import platform
import re
import textwrap
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import torch

VARIABLES = (
    "COURSE_RUN",
    "COURSE_EPOCHS",
    "COURSE_DEVICE",
    "COURSE_PRECISION",
    "COURSE_RESUME",
    "COURSE_THREADS",
    "COURSE_DATA",
    "COURSE_DATA_DIR",
    "COURSE_RUNS_DIR",
)
COLUMNS = 100  # of a printed line: JupyterLab and a web page show no more without scrolling


class ConfigError(ValueError):
    """A COURSE_* variable has a value that the course cannot use; the sentence says what to do."""


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


# --- reading the variables --------------------------------------------------------------------


def _course_variables() -> dict[str, str]:
    """All that begin with COURSE, as they are now: ours, slips in ours, and somebody else's."""
    return {name: value for name, value in os.environ.items() if name.upper().startswith("COURSE")}


def _meant(name: str) -> str | None:
    """The variable of ours of which this is a slip; None for somebody else's, say COURSE_ID."""
    if name in VARIABLES:
        return None
    close = difflib.get_close_matches(name.upper(), VARIABLES, n=1, cutoff=0.85)
    return close[0] if close else None


def _warn_of_slips(names: list[str]) -> None:
    for name in names:
        meant = _meant(name)
        if meant:
            print(f"WARNING: {name} is no setting of the course; {meant} is.")


def _text(variable: str) -> str:
    return os.environ.get(variable, "").strip()


def _choice(variable: str, *values: str, default: str) -> str:
    value = _text(variable).lower() or default
    if value not in values:
        raise ConfigError(
            f"{variable}={value} is not known: set it to {' or '.join(values)}, or unset it."
        )
    return value


def _number(variable: str) -> int | None:
    """A whole number from 1 up; None where the variable is not set."""
    text = _text(variable)
    if not text:
        return None
    if not re.fullmatch(r"[1-9][0-9]*", text):
        raise ConfigError(f"{variable}={text} is no number from 1 up: correct or unset it.")
    return int(text)


# --- device and memory --------------------------------------------------------------------------


def working_device(wanted: str, rank: str) -> torch.device:
    """The device of that name, or a GPU if one is there and works; else the CPU.

    rank: the number that torchrun gave this process, which then takes a GPU of its own. ConfigError
    if a device that was asked for cannot be used.
    """
    chosen = wanted
    if not chosen:  # several processes cannot exchange what is on Apple's GPU
        mps = torch.backends.mps.is_available() and not rank
        chosen = "cuda" if torch.cuda.is_available() else "mps" if mps else "cpu"
    if chosen == "cuda" and rank:
        chosen = f"cuda:{rank}"
    try:
        device = torch.device(chosen)
        torch.ones(1, device=device).add(1).item()
    except Exception as error:
        if wanted or rank:
            raise ConfigError(f"{chosen} cannot be used here: set COURSE_DEVICE to cpu.") from error
        print(f"There is a GPU ({chosen}), but not for this PyTorch: the course uses the CPU.")
        return torch.device("cpu")
    return device


def keep_large_blocks() -> None:
    """Linux: keep the memory of large tensors between batches.

    Handing it back to the system makes a step of training up to twice as long.
    """
    with contextlib.suppress(OSError, TypeError, AttributeError):  # other systems have no mallopt
        mallopt = ctypes.CDLL(None).mallopt
        # Bytes: mmap above (32 MiB is the most that older C libraries take), trim above, grow by.
        for option, value in ((-3, 2**25), (-3, 2**30), (-1, 2**31 - 1), (-2, 2**26)):
            mallopt(option, value)


def device_name(device: torch.device) -> str:
    """The device in words, for example "NVIDIA H200" or "CPU with 2 threads"."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "mps":
        return "Apple GPU"
    threads = torch.get_num_threads()
    return f"CPU with {threads} thread{'' if threads == 1 else 's'}"


def fixed_precision(device: torch.device, precision: str) -> str | None:
    """What is calculated in, where that depends on no network; None on a CPU with "auto"."""
    if precision != "auto":
        return precision
    if device.type == "cpu":
        return None
    if device.type == "cuda":
        has_bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
        return "bfloat16" if has_bfloat16 else "float16"
    return "float32"


# --- what this run is -----------------------------------------------------------------------------

_read = _course_variables()
_warn_of_slips(list(_read))
root = Path(__file__).resolve().parent.parent
keep_large_blocks()
threads = _number("COURSE_THREADS")
if threads is not None:
    torch.set_num_threads(threads)
device = working_device(_text("COURSE_DEVICE").lower(), _text("LOCAL_RANK"))
_usual_size = "short" if device.type == "cpu" else "full"
run = RUN_SIZES[_choice("COURSE_RUN", *RUN_SIZES, default=_usual_size)]
precision = _choice("COURSE_PRECISION", "auto", "float32", "bfloat16", "float16", default="auto")
resume = _choice("COURSE_RESUME", "no", "yes", default="no") == "yes"
data_source = _choice("COURSE_DATA", "auto", "official", "sample", default="auto")
data_dir = root / os.path.expanduser(_text("COURSE_DATA_DIR") or "data")
runs_dir = root / os.path.expanduser(_text("COURSE_RUNS_DIR") or "data/runs")
samples_dir = root / "data" / "samples"
pictures = root / "data" / "images"
checkpoints_dir = root / "data" / "checkpoints"  # trained weights that come with the course
results_dir = root / "data" / "results"  # what the runs behind them measured
_epochs = _number("COURSE_EPOCHS")


def epochs(full: int, short: int) -> int:
    """The number of epochs: COURSE_EPOCHS, else `full` or `short` by the run size, 1 when quick."""
    if _epochs is not None:
        return _epochs
    return {"full": full, "short": short, "quick": 1}[run.name]


def run_folder(notebook: str, data: str) -> Path:
    """The folder for what a run of a notebook writes, made if need be.

    There is one for each run size and data set. ConfigError if it cannot be made.
    """
    folder = runs_dir / run.name / data / notebook
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{folder} cannot be made: set COURSE_RUNS_DIR to another folder."
        ) from error
    return folder


def start_name() -> str:
    """A name for this start of a training, so that each has a curve of its own in TensorBoard."""
    return f"{datetime.datetime.now():%Y-%m-%d_%H-%M-%S-%f}"


def relative(path: Path | str) -> str:
    """A path as readers see it: from the course's folder when it lies inside."""
    path = Path(path)
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def show(dataset: str, epochs: int, full: str) -> None:
    """Print what this run is: the lines at the top of every notebook.

    dataset: the data set's name.  epochs: the number for this run.  full: what a full run takes.
    """
    images = "all images"
    if run.train_images:
        images = f"{run.train_images:,} training and {run.test_images:,} test images"
    calculated = fixed_precision(device, precision)  # None: train() says what it calculates in
    sources = {
        "auto": f"{dataset}, or the built-in sample where it cannot be had",
        "official": dataset,
        "sample": "the built-in sample",
    }
    lines = (
        f"{run.name.capitalize()} run: {images}, {epochs} epoch{'' if epochs == 1 else 's'}, on "
        f"{device_name(device)}{f' in {calculated}' if calculated else ''}.",
        f"Data: {sources[data_source]}.",
        f"Python {platform.python_version()}, torch {torch.__version__}, "
        f"torchvision {version('torchvision')}.",
        f"A full run: {full}.",
        "Another size: %env COURSE_RUN=full (or short, or quick) in a cell above the imports,",
        "or set COURSE_RUN before Jupyter starts.",
    )
    for line in lines:
        print(textwrap.fill(line, COLUMNS, break_long_words=False, break_on_hyphens=False))
    _warn_of_changes()


def _warn_of_changes() -> None:
    """Name the variables that were set after this kernel had read them."""
    now = _course_variables()
    changed = [name for name in now.keys() | _read.keys() if now.get(name) != _read.get(name)]
    _warn_of_slips([name for name in changed if name in now])
    ours = sorted(set(changed) & set(VARIABLES))
    if ours:
        names = ", ".join(ours)
        verb = "has" if len(ours) == 1 else "have"
        print(f"WARNING: {names} {verb} changed since the course was imported:")
        print("restart the kernel, and let the cell that sets it come before the imports.")
