"""The checkpoint of one call of `train`: read at its start, written after each epoch."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from filelock import FileLock, Timeout
from torch import nn

from utils import config
from utils.machinery import checkpoint, distributed
from utils.machinery.checkpoint import CheckpointError
from utils.machinery.checks import TrainingError
from utils.machinery.printing import print_lines
from utils.machinery.randomness import random_state, set_random_state


class Stateful(Protocol):
    """An optimizer, a scheduler, a scaler."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any: ...


class Checkpoints:
    """Where a run's checkpoint lies, and what belongs into it; without a path it does nothing.

    parts: what has a state beside the network, by name.  what: see `checkpoint.describe`.  loaders:
    their own random generators are kept as well. In a `with` block no other training writes to this
    path: one that comes later is told so, and goes on without a checkpoint.
    """

    def __init__(
        self,
        path: Path | str | None,
        net: nn.Module,
        parts: Mapping[str, Stateful | None],
        what: Mapping[str, str],
        loaders: Sequence[Any] = (),
    ) -> None:
        self.path = Path(path) if path else None
        self.parts = {name: part for name, part in parts.items() if part is not None}
        self.net, self.what, self.loaders = net, dict(what), loaders
        self.shown = config.relative(self.path) if self.path else ""
        self.taken = False  # by another training
        self.lock: FileLock | None = None

    def __enter__(self) -> "Checkpoints":
        if self.path is not None and distributed.is_main():
            lock = FileLock(self.path.with_name(f".{self.path.name}.lock"))
            with suppress(OSError, NotImplementedError):  # a disk without locks: then without one
                self.path.parent.mkdir(parents=True, exist_ok=True)
                try:
                    lock.acquire(timeout=0)
                    self.lock = lock
                except Timeout:
                    self.taken = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.lock is not None:
            with suppress(OSError):  # Windows removes nothing that is open; then it stays
                Path(self.lock.lock_file).unlink()
            self.lock.release()

    def read(self, resume: bool, epochs: int) -> dict[str, Any] | None:
        """What there is to go on from, if that is wanted; None to begin with epoch 1.

        CheckpointError if it is of another run, or of more than so many epochs.
        """
        if resume and self.path is None:
            raise TrainingError("resume=True needs to know the checkpoint: give save_path too.")
        if self.path is None or not (resume or config.resume):
            return None
        found = distributed.from_main(self._read)
        if found is None:
            return None
        checkpoint.compare(found["what"], self.what, self.shown)
        done = len(found["history"]["train_loss"])
        if done > epochs:
            raise CheckpointError(
                f"{self.shown} is of {done} epochs already: ask for {done} or more."
            )
        return found

    def _read(self) -> dict[str, Any] | None:
        assert self.path is not None
        if not self.path.exists():
            return None
        if self.taken:
            raise CheckpointError(
                f"Another training is writing {self.shown} at this moment: stop that one first, or "
                "give another save_path (or COURSE_RUNS_DIR)."
            )
        found = checkpoint.read_file(self.path)
        if not {"net", "history", "what", "random"} <= found.keys():
            raise CheckpointError(
                f"{self.shown} is no checkpoint of this course's train(): give another save_path, "
                "or train without resume=True (and without COURSE_RESUME)."
            )
        return found

    def restore(self, found: dict[str, Any]) -> None:
        """Put network, parts and random generators where they were when `found` was written."""
        assert self.path is not None
        checkpoint.fit(self.net, found["net"], self.shown)
        for name, part in self.parts.items():
            if found[name]:  # a scaler that was not needed has no state
                part.load_state_dict(found[name])
        set_random_state(found, self.loaders)

    def make_room(self) -> None:
        """Before epoch 1: find out whether the file can be written, and keep an earlier run's."""
        if self.path is None or not distributed.is_main():
            return
        checkpoint.check_writable(self.path)
        if not self.taken:
            checkpoint.set_aside(self.path)
            return
        print_lines(
            f"Another training is writing {self.shown} at this moment, so this one "
            "keeps no checkpoint: stop one of the two, or give another save_path (or "
            "COURSE_RUNS_DIR)."
        )
        self.path = None

    def write(self, by_epoch: Mapping[str, Sequence], device: str, precision: str) -> None:
        """Write the checkpoint, with the figures so far; a full disk ends no training."""
        if self.path is None or not distributed.is_main():
            return
        content: dict[str, Any] = {name: part.state_dict() for name, part in self.parts.items()}
        content |= random_state(self.loaders)
        content |= {
            "what": self.what,
            "net": checkpoint.weights_of(self.net),
            "history": {**by_epoch, "device": device, "precision": precision},
        }
        try:
            checkpoint.write_file(content, self.path)
        except CheckpointError as error:  # the hours that are in memory must not be lost
            epoch = len(by_epoch["train_loss"])
            print_lines(f"WARNING: training goes on, but epoch {epoch} has no checkpoint. {error}")
