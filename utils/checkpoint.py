"""Files of weights and checkpoints: written whole or not at all, and read without running any code in them.

`save_weights` and `load_weights` are for notebooks; the rest serves `train`.
"""

import glob
import io
import os
import re
import secrets
import tempfile
import time
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from utils import config

FORMAT = 1
FLOATS = {torch.float16, torch.bfloat16, torch.float32, torch.float64}
STALE = 600  # seconds after which an unfinished file is certainly not being written any more


class CheckpointError(ValueError):
    """A file of weights cannot be read or written, or is of another network; the sentence says what to do."""


def save_weights(net: nn.Module, path: Path | str) -> None:
    """Write the network's state dict (weights, biases, batch norms' averages), on the CPU: portable and safe.

    CheckpointError if it cannot be written; what was there before stays.
    """
    write_file({name: tensor.cpu() for name, tensor in net.state_dict().items()}, Path(path))


def load_weights(net: nn.Module, path: Path | str) -> None:
    """Put the weights of a file of `save_weights`, or of a checkpoint of `train`, into `net`.

    Weights in float16 become those of the network's own type. Runs no code of the file. CheckpointError if there
    is no such file, or it holds something else than this network; the network then stays as it was.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(
            f"There is no file {config.relative(path)}: train the network first, or give another path."
        )
    content = read_file(path)
    weights = content["net"] if "net" in content and "history" in content else content
    net.load_state_dict(fit_weights(net, weights, config.relative(path)))


def check_writable(path: Path) -> None:
    """Find out before the first epoch, and not after it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path.parent).close()
        if path.is_dir():
            raise IsADirectoryError(None, "it is a folder")
    except OSError as error:
        raise CheckpointError(
            f"{config.relative(path)} cannot be written ({error.strerror}): give another save_path."
        ) from error


def write_file(content: dict[str, Any], path: Path) -> None:
    """Write to a temporary file beside it, then rename: under the path there is always a whole file. CheckpointError."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        buffer = io.BytesIO()
        torch.save(_plain(content), buffer)
        buffer.seek(0)
        if unsafe := torch.serialization.get_unsafe_globals_in_checkpoint(buffer):
            raise TypeError(f"{unsafe[0]} in it could not be read back")
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            file.write(buffer.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        _replace(temporary, path)
    except Exception as error:  # OSError, or whatever is in the way of torch.save
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        raise CheckpointError(
            f"{config.relative(path)} could not be written ({reason}): make room on the disk or give another path; "
            "what was there before is still there."
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):  # of processes that were killed
        with suppress(OSError):
            if left.stat().st_mtime < path.stat().st_mtime - STALE:
                left.unlink()


def read_file(path: Path) -> dict[str, Any]:
    """What `write_file` wrote, with tensors on the CPU. CheckpointError if it is anything else."""
    shown = config.relative(path)
    try:
        content = torch.load(_checked_copy(path), map_location="cpu", weights_only=True)
    except Exception as error:  # of many kinds: the file is cut short, holds no weights, would run code, ...
        raise CheckpointError(
            f"{shown} cannot be read as weights (it is damaged, or holds more than tensors): "
            "delete it and train again, or give another file."
        ) from error
    if not isinstance(content, dict):
        raise CheckpointError(
            f"{shown} holds no weights by name: give a file that save_weights() or train() wrote."
        )
    if isinstance(content.get("format"), int) and content["format"] > FORMAT:
        raise CheckpointError(f"{shown} was written by a newer version of this course: update the course.")
    return content


def fit_weights(net: nn.Module, weights: dict[str, Any], shown: str) -> dict[str, Tensor]:
    """`weights` in the network's own types, if every name and shape is the network's; else says what differs."""
    own = net.state_dict()
    if not isinstance(weights, dict):
        raise CheckpointError(
            f"{shown} holds no weights by name: give a file that save_weights() or train() wrote."
        )
    missing, unknown = own.keys() - weights.keys(), weights.keys() - own.keys()
    if missing or unknown:
        lacks, has = f"it lacks {min(missing, default='')}", f"it has {min(map(str, unknown), default='')}"
        example = lacks if missing else f"{has}, which the network lacks"
        raise CheckpointError(
            f"{shown} holds another network than {type(net).__name__} ({example}): build the network it was saved from."
        )
    fitting = {}
    for name, tensor in own.items():
        saved = weights[name]
        shape = list(getattr(saved, "shape", []))
        if type(saved) not in (Tensor, nn.Parameter) or shape != list(tensor.shape):
            raise CheckpointError(
                f"{shown} holds another {type(net).__name__}: {name} is {shape} there and {list(tensor.shape)} here, "
                "so build the network with the same width and the same number of classes."
            )
        same_kind = saved.dtype == tensor.dtype or {saved.dtype, tensor.dtype} <= FLOATS
        if not same_kind or saved.layout != torch.strided or saved.is_meta:
            raise CheckpointError(
                f"{shown} holds {name} as {saved.dtype}, not as {tensor.dtype}: give another file."
            )
        fitting[name] = saved.detach().to(tensor.dtype)
    return fitting


def _replace(temporary: Path, path: Path) -> None:
    """Rename; Windows refuses it while a virus scanner or another notebook reads the old file, so try for 3 s."""
    for pause in (0.2, 0.8, 2.0):
        with suppress(PermissionError):
            os.replace(temporary, path)
            return
        time.sleep(pause)
    os.replace(temporary, path)


def _plain(value: Any) -> Any:
    """NumPy's numbers (a learning rate of np.logspace, say) as Python's: `weights_only` reads no others."""
    if isinstance(value, np.generic):
        return value.item()
    if type(value) is dict:
        return {key: _plain(item) for key, item in value.items()}
    return type(value)(map(_plain, value)) if type(value) in (list, tuple) else value


def _checked_copy(path: Path) -> io.BytesIO:
    """The zip archive that torch.save wrote, with its checksums compared, which torch.load does not do.

    Refused are compression, and the two names in a pickle, that can turn a small file into gigabytes.
    """
    copy = io.BytesIO()
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(copy, "w") as copied:
        names, size = archive.namelist(), sum(entry.file_size for entry in archive.infolist())
        if len(set(names)) < len(names) or size > path.stat().st_size:
            raise ValueError("A name occurs twice, or something is compressed.")
        for name in names:
            content = archive.read(name)  # BadZipFile if its checksum is wrong
            if name.endswith("data.pkl") and re.search(rb"\nbytearray|_rebuild_device_tensor", content):
                raise ValueError("The pickle holds more than tensors.")
            copied.writestr(name, content)
    copy.seek(0)
    return copy
