"""Files of weights and checkpoints: written whole or not at all, and read without running any code in them.

Weights are safetensors files; a checkpoint of `train` holds all that is needed to go on, and is the reader's own.
"""

import io
import os
import re
import zipfile
from collections import Counter
from contextlib import suppress
from itertools import zip_longest
from operator import length_hint
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from utils import config

BESIDE = ("weights.safetensors", "record.json")  # what section 9 writes beside a checkpoint
CHANGING = (  # of schedulers and parameter groups, what training changes
    *(
        "params",
        "lr",
        "last_epoch",
        "_step_count",
        "_last_lr",
        "_is_initial",
        "_get_lr_called_within_step",
    ),
    *("initial_lr", "T_cur", "T_i", "_schedulers"),
)


class CheckpointError(ValueError):
    """A file of weights cannot be read or written, or is of another network; the sentence says what to do."""


def _plain_name(name: str) -> str:
    return re.sub(r"^(module\.|_orig_mod\.)+", "", name)  # of DataParallel and torch.compile


def weights_of(net: nn.Module) -> dict[str, Tensor]:
    """The network's state dict on the CPU, under the names that it has outside DataParallel or torch.compile."""
    return {
        _plain_name(name): tensor.cpu().contiguous().clone()
        for name, tensor in net.state_dict().items()
    }


def save_weights(net: nn.Module, path: Path | str) -> None:
    """Write the network's weights and batch norms' averages as safetensors."""
    write_bytes(safetensors.torch.save(weights_of(net)), Path(path))


def load_weights(net: nn.Module, path: Path | str) -> None:
    """Put the weights of a file into `net`: of `save_weights`, of torch.save, or of a checkpoint of `train`.

    Half-precision weights become the network's own type. Runs no code of the file. CheckpointError if there is no
    such file, or it holds something else than this network; the network then stays as it was.
    """
    path, shown = Path(path), config.relative(path)
    if not path.is_file():
        raise CheckpointError(
            f"There is no file {shown}: train the network first, or give another path."
        )
    content = read_file(path)
    fit(net, content["net"] if isinstance(content.get("net"), dict) else content, shown)


def fit(net: nn.Module, weights: dict[str, Any], shown: str) -> None:
    """Load these weights into `net`, if every name and shape is the network's; else say what differs."""
    weights = {_plain_name(str(name)): tensor for name, tensor in weights.items()}
    own = {_plain_name(name): (name, tensor.shape) for name, tensor in net.state_dict().items()}
    for name in sorted(own.keys() | weights.keys()):
        here, there = own.get(name, (None, None))[1], getattr(weights.get(name), "shape", None)
        if here != there:
            here, there = ("missing" if shape is None else list(shape) for shape in (here, there))
            raise CheckpointError(
                f"{shown} is of another network than this {type(net).__name__} ({name}: {there} there, {here} here): "
                "build the one it was saved from, with the same width and number of classes."
            )
    net.load_state_dict({name: weights[plain] for plain, (name, _) in own.items()})


def write_bytes(content: bytes, path: Path) -> None:
    """Write to a temporary file beside it, then rename: under the path there is always a whole file. CheckpointError."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise CheckpointError(
            f"{config.relative(path)} could not be written ({error.strerror}): make room on the disk or give another path."
        ) from error


def check_writable(path: Path) -> None:
    """Find out before the first epoch, and not after it. CheckpointError."""
    if path.is_dir():
        raise CheckpointError(
            f"{config.relative(path)} is a folder: give the path of a file as save_path."
        )
    write_bytes(b"", probe := path.with_name(f".{path.name}.probe"))
    probe.unlink(missing_ok=True)


def write_file(content: dict[str, Any], path: Path) -> None:
    """Write tensors, numbers and texts as torch.save does, all of which `read_file` can read. CheckpointError."""
    buffer = io.BytesIO()
    torch.save(_plain(content), buffer)
    write_bytes(buffer.getbuffer(), path)


def read_file(path: Path) -> dict[str, Any]:
    """What `write_file` or `save_weights` wrote, with tensors on the CPU. CheckpointError if it is anything else."""
    try:
        with path.open("rb") as file:
            zipped = file.read(4) == b"PK\3\4"  # torch.save writes a zip archive
        if not zipped:
            return safetensors.torch.load_file(path)
        with zipfile.ZipFile(
            path
        ) as archive:  # torch.load looks at no checksum, and fills no part that is a folder
            if archive.testzip() or any(part.external_attr & 0x10 for part in archive.infolist()):
                raise ValueError("damaged")
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except (
        Exception
    ) as error:  # of many kinds: the file is cut short, holds no weights, would run code, ...
        raise CheckpointError(
            f"{config.relative(path)} cannot be read as weights (no permission, damaged, or more than tensors in it): "
            "delete it and train again, or give another file."
        ) from error


def set_aside(path: Path) -> None:
    """Keep the files of an earlier run in the folder kept/ beside them, unless a longer run is kept there already."""
    kept, epochs = path.parent / "kept", _epochs(path)
    if not epochs or epochs < _epochs(kept / path.name):
        return
    kept.mkdir(exist_ok=True)
    for file in (path, *(path.with_name(name) for name in BESIDE)):
        (kept / file.name).unlink(missing_ok=True)  # of another run
        with suppress(FileNotFoundError):
            os.replace(file, kept / file.name)
    print(
        f"A run of {epochs} epoch{'s' * (epochs > 1)} was here already: its files are now in {config.relative(kept)}. "
        "resume=True, or COURSE_RESUME=yes, would have gone on from it."
    )


def _epochs(path: Path) -> int:
    """How many epochs the run in a checkpoint had; 0 where there is none."""
    try:
        return len(read_file(path)["history"]["train_loss"])
    except (CheckpointError, LookupError, TypeError):
        return 0


def _plain(value: Any) -> Any:
    """NumPy's numbers (a learning rate of np.logspace, say) as Python's: `weights_only` reads no others."""
    if isinstance(value, np.generic):
        return value.item()
    if type(value) is dict:
        return {key: _plain(item) for key, item in value.items()}
    return type(value)(map(_plain, value)) if type(value) in (list, tuple) else value


def describe(
    net: nn.Module, loader: Any, optimizer: Any, criterion: Any, scheduler: Any
) -> dict[str, str]:
    """What a run is, beyond the shapes of its weights: resuming with another of these would mix two runs."""
    what = {
        "network": repr(net).replace("SyncBatchNorm", "BatchNorm2d"),
        "data set": f"{getattr(loader, 'name', '')} {tuple(getattr(loader, 'classes', ()))}",
        "number of images or batches": len(getattr(loader, "labels", ())) or length_hint(loader),
        "batch size": getattr(loader, "batch_size", None),
        "augmentation": getattr(loader, "augmentation", None),
        "loss": repr(criterion)
        if isinstance(criterion, nn.Module)
        else getattr(criterion, "__name__", None),
        "setting of the loss": _settings(
            vars(criterion) if isinstance(criterion, nn.Module) else {}
        ),
        "optimizer": type(optimizer).__name__,
        "learning rate": [
            _plain(group.get("initial_lr", group["lr"])) for group in optimizer.param_groups
        ],
        "setting of the optimizer": "\n".join(map(_settings, optimizer.param_groups)),
        "scheduler": type(scheduler).__name__,
        "setting of the scheduler": _settings(
            scheduler.state_dict() if scheduler is not None else {}
        ),
    }
    return {name: str(value) for name, value in what.items()}


def _settings(state: dict[str, Any]) -> str:
    """The simple values in it that training leaves as they are, a line each."""
    out = CHANGING + (("momentum", "betas") if "max_momentum" in state else ())
    simple = (int, float, str, list, tuple, Counter)
    return "\n".join(
        f"{k} {_plain(v)}" for k, v in state.items() if k not in out and isinstance(v, simple)
    )


def compare(there: dict[str, str], here: dict[str, str], shown: str) -> None:
    """CheckpointError that names the first thing in which a checkpoint's run differs from this one."""
    for name, value in here.items():
        lines = zip_longest(str(there.get(name)).splitlines(), value.splitlines())
        for was, now in ((str(a).strip()[:90], str(b).strip()[:90]) for a, b in lines if a != b):
            raise CheckpointError(
                f"{shown} is of a run with another {name} ({was} there, {now} here): use the same, or train without "
                "resume=True (and without COURSE_RESUME)."
            )
