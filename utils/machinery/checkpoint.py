"""Files of weights and checkpoints: written whole or not at all, and read without running any code.

Weights are safetensors files; a checkpoint of `train` holds all that is needed to go on, and is the
reader's own.
"""

import errno
import glob
import io
import os
import re
import time
import uuid
import zipfile
import zlib
from collections import Counter
from contextlib import suppress
from functools import partial
from itertools import zip_longest
from operator import length_hint
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from utils import config
from utils.machinery.printing import print_lines
from utils.machinery.randomness import same_random_numbers

BESIDE = ("weights.safetensors", "record.json")  # what section 9 writes beside a checkpoint
WEIGHTS_UNDER = ("net", "model", "state_dict", "model_state_dict")  # in files of other programs
PREFIXES = ("model.", "net.", "network.")  # that other programs put before every name
FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))  # a full disk, a full quota
ABANDONED = 3600  # seconds after which an unfinished file is that of a program that was killed
CHANGING = (  # of schedulers and parameter groups, what training changes
    "params",
    "lr",
    "initial_lr",
    "last_epoch",
    "T_cur",
    "T_i",
    "_step_count",
    "_last_lr",
    "_is_initial",
    "_get_lr_called_within_step",
    "_schedulers",
)


class CheckpointError(ValueError):
    """A file of weights cannot be read or written, or is of another network; it says what to do."""


# --- weights --------------------------------------------------------------------------------------


def unwrapped(net: nn.Module) -> nn.Module:
    """The network inside DataParallel, DistributedDataParallel or torch.compile."""
    inner: Any = net
    while True:
        if hasattr(inner, "_orig_mod"):
            inner = inner._orig_mod
        elif isinstance(inner, nn.DataParallel | nn.parallel.DistributedDataParallel):
            inner = inner.module
        else:
            return inner


def _plain_name(name: str) -> str:
    """A weight's name without what DataParallel and torch.compile put into it."""
    return re.sub(r"^(module\.)+", "", name.replace("_orig_mod.", ""))


def _refuse_lazy(net: nn.Module) -> None:
    if any(is_lazy(tensor) for tensor in net.state_dict(keep_vars=True).values()):
        raise CheckpointError(
            "The network has lazy layers, whose weights have no shape yet: send one batch through "
            "it first, net(images)."
        )


def weights_of(net: nn.Module) -> dict[str, Tensor]:
    """The network's state dict on the CPU, under the names that it has outside any wrapper."""
    _refuse_lazy(net)
    return {
        _plain_name(name): tensor.cpu().contiguous().clone()
        for name, tensor in net.state_dict().items()
    }


def save_weights(net: nn.Module, path: Path | str) -> None:
    """Write the network's weights and batch norms' averages as safetensors. CheckpointError."""
    write_bytes(safetensors.torch.save(weights_of(net)), Path(path))


def load_weights(net: nn.Module, path: Path | str) -> None:
    """Put the weights of a file into `net`: of `save_weights`, of torch.save, of a checkpoint.

    They may lie in the file under a name such as "state_dict". Half-precision weights become the
    network's own type. Runs no code of the file. CheckpointError if there is no such file, or it
    holds something else than this network; the network then stays as it was.
    """
    path = Path(path)
    shown = config.relative(path)
    if not path.is_file():
        raise CheckpointError(
            f"There is no file {shown}: train the network first, or give another path."
        )
    fit(net, _weights_in(read_file(path), shown), shown)


def _are_weights(value: Any) -> bool:
    """Whether it is a dict of tensors, by their names."""
    if not isinstance(value, dict) or not value:
        return False
    return all(isinstance(item, Tensor) for item in value.values())


def _weights_in(content: dict[str, Any], shown: str) -> dict[str, Any]:
    """The weights of a file: all of its content, or the one entry that holds tensors by name."""
    if _are_weights(content):
        return content
    entries = {key: value for key, value in content.items() if _are_weights(value)}
    usual = [key for key in WEIGHTS_UNDER if key in entries]
    found = usual or list(entries)
    if usual or len(entries) == 1:
        return entries[found[0]]
    raise CheckpointError(
        f"{shown} holds {', '.join(map(str, content)) or 'nothing'}, and none of these is surely "
        "the network's weights: save net.state_dict() alone."
    )


def fit(net: nn.Module, weights: dict[str, Any], shown: str) -> None:
    """Load these weights into `net` if every name and shape is its own; else CheckpointError."""
    _refuse_lazy(net)
    own = {_plain_name(name): name for name in net.state_dict()}
    weights = {_plain_name(str(name)): tensor for name, tensor in weights.items()}
    for prefix in PREFIXES:
        shorter = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
        if shorter.keys() == own.keys():
            weights = shorter
    shapes = {_plain_name(name): list(tensor.shape) for name, tensor in net.state_dict().items()}
    for name in sorted(own.keys() | weights.keys()):
        here: Any = shapes.get(name, "missing")
        there: Any = "missing"
        if name in weights:
            there = list(getattr(weights[name], "shape", ["no tensor"]))
        if here != there:
            raise CheckpointError(
                f"{shown} is of another network than this {type(unwrapped(net)).__name__} "
                f"({name}: {there} there, {here} here): build the one it was saved from, with the "
                "same width and number of classes."
            )
    net.load_state_dict({name: weights[plain] for plain, name in own.items()})


# --- files ----------------------------------------------------------------------------------------


def write_bytes(content: bytes, path: Path) -> None:
    """Write to a temporary file beside it, then rename: under the path is always a whole file.

    The temporary file has a name of its own, so that several programs may write the same path at
    once; the last one's file stays. CheckpointError if it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path)
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        _replace(temporary, path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        full = error.errno in FULL
        raise CheckpointError(
            f"{config.relative(path)} could not be written ({error.strerror}): "
            f"{'make room on the disk' if full else 'give another path'}."
        ) from error


def _remove_abandoned(path: Path) -> None:
    """Remove unfinished files of this name that a killed program left."""
    for file in path.parent.glob(f".{glob.escape(path.name)}.*tmp"):
        with suppress(OSError):  # another program may have been faster
            if time.time() - file.stat().st_mtime > ABANDONED:
                file.unlink()


def _replace(temporary: Path, path: Path) -> None:
    """Rename; on Windows nothing can be put in the place of a file while somebody reads it."""
    for _ in range(20):
        try:
            os.replace(temporary, path)
        except PermissionError:
            if os.name != "nt":
                raise
            time.sleep(0.1)
        else:
            return
    os.replace(temporary, path)


def check_writable(path: Path) -> None:
    """Find out before the first epoch, and not after it. CheckpointError."""
    if path.is_dir():
        raise CheckpointError(
            f"{config.relative(path)} is a folder: give the path of a file as save_path."
        )
    probe = path.with_name(f".{path.name}.{uuid.uuid4().hex}.probe")
    try:
        write_bytes(b"", probe)
    except CheckpointError as error:
        raise CheckpointError(str(error).replace(probe.name, path.name)) from error
    probe.unlink(missing_ok=True)


def write_file(content: dict[str, Any], path: Path) -> None:
    """Write what `read_file` reads: tensors, numbers and texts, as torch.save does."""
    buffer = io.BytesIO()
    torch.save(_plain(content), buffer)
    write_bytes(buffer.getvalue(), path)


def read_file(path: Path) -> dict[str, Any]:
    """The tensors of a file, on the CPU: of `write_file`, of `save_weights` or of torch.save.

    CheckpointError if it is anything else.
    """
    try:
        with path.open("rb") as file:
            start = file.read(4)
        if start == b"PK\3\4":
            _check_archive(path)
        elif not start.startswith(b"\x80"):  # torch.save before 2020 wrote pickles, which begin so
            return safetensors.torch.load_file(path)
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # of many kinds: cut short, no weights, it would run code, ...
        raise CheckpointError(
            f"{config.relative(path)} cannot be read as weights (no permission, damaged, or more "
            "than tensors in it, as torch.save(net) writes): give another file, or train again "
            "without resume."
        ) from error


def _check_archive(path: Path) -> None:
    """torch.load looks at no checksum of its zip archive, and fills no part that is a folder."""
    with zipfile.ZipFile(path) as archive:
        if archive.testzip() or any(part.external_attr & 0x10 for part in archive.infolist()):
            raise ValueError("damaged")


def set_aside(path: Path) -> None:
    """Keep the files of an earlier run in the folder kept/, unless a longer run is kept there.

    What it has no file for stays in kept/ as it is.
    """
    kept = path.parent / "kept"
    epochs = _epochs(path)
    if epochs == 0 or epochs < _epochs(kept / path.name):
        return
    kept.mkdir(exist_ok=True)
    for name in (path.name, *BESIDE):
        with suppress(FileNotFoundError):
            os.replace(path.with_name(name), kept / name)
    print_lines(
        f"A run of {epochs} epoch{'s' * (epochs > 1)} was here already: its files are now in "
        f"{config.relative(kept)}. resume=True, or COURSE_RESUME=yes, would have gone on from it."
    )


def _epochs(path: Path) -> int:
    """How many epochs the run in a checkpoint had; 0 where there is none."""
    try:
        return len(read_file(path)["history"]["train_loss"])
    except (CheckpointError, LookupError, TypeError):
        return 0


def _plain(value: Any) -> Any:
    """NumPy's numbers (a learning rate of np.logspace, say) as Python's: no others can be read."""
    if isinstance(value, np.generic):
        return value.item()
    if type(value) is dict:
        return {key: _plain(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_plain(item) for item in value)
    return value


# --- what a run is --------------------------------------------------------------------------------


def describe(
    net: nn.Module,
    loader: Any,
    optimizer: Any,
    criterion: Any,
    scheduler: Any,
    *,
    test_loader: Any = None,
    clip: float | None = None,
    epochs: int | None = None,
) -> dict[str, str]:
    """What a run is, beyond the shapes of its weights: resuming with another would mix two runs.

    Tensors (pixels, labels, weights of classes) are told by a checksum. It draws no random numbers.
    """
    what = {
        "network": repr(unwrapped(net)).replace("SyncBatchNorm", "BatchNorm2d"),
        **_describe_data(loader),
        "batch size": getattr(loader, "batch_size", None),
        **_describe_loss(criterion),
        "optimizer": type(optimizer).__name__,
        "learning rate": [
            _plain(group.get("initial_lr", group["lr"])) for group in optimizer.param_groups
        ],
        "setting of the optimizer": "\n".join(map(_settings, optimizer.param_groups)),
        "number of weights in the optimizer": [
            len(group["params"]) for group in optimizer.param_groups
        ],
        "scheduler": type(scheduler).__name__,
        "setting of the scheduler": _settings(
            scheduler.state_dict() if scheduler is not None else {}
        ),
        "limit of the gradients (clip)": _plain(clip),
    }
    if (
        scheduler is not None and epochs is not None
    ):  # it plans for so many; without it, more may come
        what["number of epochs"] = epochs
    if test_loader is not None:
        tests = _describe_data(test_loader)
        what["test set"] = "\n".join(f"{name}: {value}" for name, value in tests.items())
    return {name: str(value) for name, value in what.items()}


def _describe_data(loader: Any) -> dict[str, Any]:
    mean, std = getattr(loader, "mean", None), getattr(loader, "std", None)
    images, labels = _stored(loader)
    return {
        "data set": f"{getattr(loader, 'name', '')} {tuple(getattr(loader, 'classes', ()))}",
        "number of images or batches": len(getattr(loader, "labels", ())) or length_hint(loader),
        "size of the images": image_shape(loader),
        "checksum of the images": _checksum(images),
        "checksum of the labels": _checksum(labels),
        "mean and deviation": [_numbers(mean), _numbers(std)],
        "augmentation": getattr(loader, "augmentation", None),
    }


def _stored(loader: Any) -> tuple[Any, Any]:
    """Images and labels that lie in memory: of Batches, a TensorDataset or torchvision's sets."""
    dataset = getattr(loader, "dataset", None)
    tensors = getattr(dataset, "tensors", None)
    if isinstance(tensors, tuple) and tensors:
        return tensors[0], tensors[-1]
    images = getattr(loader, "images", getattr(dataset, "data", None))
    labels = getattr(loader, "labels", getattr(dataset, "targets", None))
    return images, labels


def image_shape(loader: Any) -> list[int] | None:
    """The shape [C, H, W] of a loader's images, where it can be had without taking a batch."""
    images = getattr(loader, "images", None)
    if isinstance(images, Tensor):
        return list(images.shape[1:])
    try:
        if isinstance(loader, list | tuple):
            return list(loader[0][0].shape[1:])
        with same_random_numbers():  # an augmentation draws some
            return list(loader.dataset[0][0].shape)
    except Exception:  # of somebody else's data set: what is wrong shows when it is trained with
        return None


def _checksum(values: Any) -> int | None:
    """Of a tensor, an array or a list of numbers; None for anything else."""
    if isinstance(values, list | tuple) and values and isinstance(values[0], int | float):
        values = np.asarray(values)
    if isinstance(values, np.ndarray) and values.dtype != object:
        return zlib.crc32(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data)
    if isinstance(values, Tensor):
        as_bytes = values.detach().cpu().contiguous().flatten().view(torch.uint8)
        return zlib.crc32(as_bytes.numpy().data)
    return None


def _numbers(values: Any) -> Any:
    """The numbers in a small tensor or array."""
    return values.flatten().tolist() if isinstance(values, Tensor | np.ndarray) else values


def _describe_loss(criterion: Any) -> dict[str, Any]:
    if isinstance(criterion, nn.Module):
        buffers = [
            f"{name} {_checksum(b)} {list(b.shape)}" for name, b in criterion.named_buffers()
        ]
        settings = "\n".join([_settings(vars(criterion)), *buffers])
        return {"loss": repr(criterion), "setting of the loss": settings}
    if isinstance(criterion, partial):
        settings = f"{_plain(criterion.args)}\n{_settings(criterion.keywords)}"
        name = getattr(criterion.func, "__name__", None)
        return {"loss": name, "setting of the loss": settings}
    return {"loss": getattr(criterion, "__name__", None), "setting of the loss": ""}


def _settings(state: dict[str, Any]) -> str:
    """The simple values in it that training leaves as they are, a line each."""
    changing: tuple[str, ...] = CHANGING
    if "max_momentum" in state:  # this schedule changes these, too
        changing = (*CHANGING, "momentum", "betas")
    simple = (int, float, str, list, tuple, Counter)
    return "\n".join(
        f"{name} {_plain(value)}"
        for name, value in state.items()
        if name not in changing and isinstance(value, simple)
    )


def compare(there: dict[str, str], here: dict[str, str], shown: str) -> None:
    """CheckpointError that names the first thing in which a checkpoint's run differs from this one.

    What an older checkpoint does not tell is not compared.
    """
    for name, value in here.items():
        if name not in there or there[name] == value:
            continue
        was, now = _first_difference(there[name], value)
        raise CheckpointError(
            f"{shown} is of a run with another {name} ({was} there, {now} here): use the same, or "
            "train without resume=True (and without COURSE_RESUME)."
        )


def _first_difference(was: str, now: str) -> tuple[str, str]:
    """The first lines that differ, cut to 90 characters."""
    for a, b in zip_longest(was.splitlines(), now.splitlines(), fillvalue="nothing"):
        if a != b:
            return a.strip()[:90], b.strip()[:90]
    return was[:90], now[:90]
