"""What `train` tells after each epoch: a printed line, and figures for TensorBoard."""

import math
from collections.abc import Mapping
from typing import Any, Protocol

from utils.machinery.printing import print_lines

# What TensorBoard shows, and the History's name for it.
SCALARS = {
    "loss/train": "train_loss",
    "loss/test": "test_loss",
    "accuracy/train": "train_accuracy",
    "accuracy/test": "test_accuracy",
    "learning rate": "learning_rate",
    "images per second": "images_per_second",
}


class Writer(Protocol):
    """A TensorBoard SummaryWriter, or what does the same."""

    def add_scalar(self, tag: str, scalar_value: Any, global_step: Any) -> None: ...

    def flush(self) -> None: ...


class Log:
    """The printed lines of a training (none if not `verbose`), and what its writer gets."""

    def __init__(self, epochs: int, writer: Writer | None = None, verbose: bool = True) -> None:
        self.epochs, self.writer, self.verbose = epochs, writer, verbose

    def say(self, sentence: str) -> None:
        """Print a sentence, in lines of at most 100 columns."""
        if self.verbose:
            print_lines(sentence)

    def title(self, epoch: int) -> str | None:
        """What the epoch's progress bar is called; None for no bar."""
        return f"epoch {epoch}/{self.epochs}" if self.verbose else None

    def write(self, epoch: int, figures: Mapping[str, Any]) -> None:
        """Print the epoch's line; give its figures, by the names of an `Epoch`, to the writer."""
        if self.verbose:
            print(self.line(epoch, figures))
        if self.writer is None:
            return
        try:
            for tag, name in SCALARS.items():
                if not math.isnan(figures[name]):
                    self.writer.add_scalar(tag, figures[name], epoch)
            self.writer.flush()
        except Exception as error:  # of a full disk, a network drive that is gone
            self._give_up(error)

    def line(self, epoch: int, figures: Mapping[str, Any]) -> str:
        """One epoch's figures; the test's are left out where there was none."""
        parts = [
            f"epoch {epoch:>{len(str(self.epochs))}}/{self.epochs}, {figures['height']} px",
            f"train: loss {figures['train_loss']:.3f}, {figures['train_accuracy']:6.2%}",
        ]
        if not math.isnan(figures["test_loss"]):
            parts.append(f"test: loss {figures['test_loss']:.3f}, {figures['test_accuracy']:6.2%}")
        seconds = figures["seconds"]
        took = f"{seconds:.1f}" if seconds < 100 else f"{seconds:,.0f}"
        parts.append(f"{took} s, {figures['images_per_second']:,.0f} images/s")
        return "  ".join(parts)

    def _give_up(self, error: Exception) -> None:
        """The log is an extra: training goes on without it."""
        print_lines(f"WARNING: training goes on, but TensorBoard gets no more figures ({error}).")
        for name in ("file_writer", "all_writers"):
            if hasattr(self.writer, name):
                setattr(self.writer, name, None)  # closing it would fail once more
        self.writer = None
