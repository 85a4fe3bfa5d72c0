"""For maintainers: makes a finished full run again from the course's record and weights.

    .venv/bin/python tools/rebuild_run.py 05_resnet [06_resnext ...]

Nothing is trained. The notebook's own cells make the data, the network and the optimizer; `train`
then goes through its epochs with the figures of data/results/NAME.json and the weights of
data/checkpoints/NAME.safetensors, and writes its checkpoint as after a real run. Executed with
COURSE_RUN=full and COURSE_RESUME=yes (tools/execute.py does), the notebook prints the lines of all
epochs as if it had just run, and shows that network.

The weights are in half precision, so an accuracy that is measured with them may differ from the
last epoch's by a few hundredths of a per cent. A run of your own in the same folder is set aside,
in kept/. 00_start_here has no record: its training takes a minute or two, so run it.
"""

import argparse
import contextlib
import json
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

if __name__ == "__main__":
    for _name in ("COURSE_EPOCHS", "COURSE_PRECISION"):
        os.environ.pop(_name, None)
    os.environ |= {"COURSE_RUN": "full", "COURSE_DATA": "official", "MPLBACKEND": "agg"}

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from utils import config, lesson
from utils import train as training
from utils.machinery.checkpoint import load_weights, read_file, write_file
from utils.train import Evaluation, History, Trained

# Cells of other sections that make what section 5 needs, by notebook.
ALSO = {"21_speed_run": ("check-network", "whitening-experiment")}


class RebuildError(Exception):
    """A run cannot be made again; the sentence says what to do."""


def cells_to_run(name: str) -> Iterator[str]:
    """The code that leads to the trained network; the last one is the cell that trains it.

    These are the cells of sections 1, 2, 5 and 6 and those tagged `network`. Those of sections 5
    and 6 that draw something are experiments, and are left out.
    """
    path = config.root / "notebooks" / f"{name}.ipynb"
    section = ""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        heading = re.match(r"## (\d+)\.", source)
        if cell["cell_type"] == "markdown" and heading:
            section = heading[1]
        if cell["cell_type"] != "code":
            continue
        tags = cell["metadata"].get("tags", [])
        experiment = "plot." in source or "experiment" in tags
        also = cell["id"] in ALSO.get(name, ())
        if section in ("1", "2") or "network" in tags or also:
            yield source
        elif section in ("5", "6") and not experiment:
            yield source
            if section == "6" and makes_history(source):
                return
    raise RebuildError(f"{name} has no cell in section 6 that makes a history: add it.")


def makes_history(source: str) -> bool:
    """Whether this is the cell that trains the network."""
    return re.search(r"^history = ", source, re.MULTILINE) is not None


def rebuild(name: str) -> None:
    """Write the checkpoint of a notebook's run. RebuildError if it has none, or another recipe."""
    record = lesson.read_record(name)
    if record is None:
        raise RebuildError(
            f"{name} has no record in {config.relative(config.results_dir)}: run it."
        )
    weights = config.checkpoints_dir / f"{name}.safetensors"
    instead = train_from_record(record, weights)
    here = contextlib.chdir(config.root / "notebooks")
    anew = mock.patch.object(config, "resume", False)
    with here, anew, mock.patch.object(training, "train", instead):
        namespace: dict[str, Any] = {"__name__": "__main__"}
        for number, source in enumerate(cells_to_run(name), start=1):
            if makes_history(source) and not re.search(r"\btrain\(", source):
                fill_own_loop(namespace, record, weights)
            exec(compile(source, f"<{name}, cell {number}>", "exec"), namespace)


def fill_own_loop(namespace: dict[str, Any], record: dict, weights: Path) -> None:
    """For a notebook with a loop of its own: the history that it begins with is complete.

    Such a loop leaves out the epochs that its history has, and then writes its checkpoint.
    """
    load_weights(namespace["net"], weights)
    namespace["History"] = lambda **_: recorded_history(record)


def recorded_history(record: dict) -> History:
    """The history of a record's run, with every tenth learning rate."""
    return History.from_lists(record["by_epoch"], record["device"], record["precision"])


def train_from_record(record: dict, weights: Path) -> Callable[..., History]:
    """A function in place of `train`: the same, but that a record and a file tell what is learned.

    It prints nothing, and TensorBoard gets nothing: both come when the notebook is executed.
    """
    real_train = training.train

    def train(
        net, train_loader, test_loader, epochs, optimizer, criterion, scheduler=None,
        save_path=None, writer=None, verbose=True, **options,
    ) -> History:  # fmt: skip
        if epochs != record["epochs"]:
            raise RebuildError(
                f"The record has {record['epochs']} epochs, and the notebook {epochs}: train again."
            )
        load_weights(net, weights)
        parts = (train_loader, test_loader, epochs, optimizer, criterion, scheduler, save_path)
        replay = Replay(record)
        steps = {"train_epoch": replay.train_epoch, "evaluate": replay.evaluate}
        with mock.patch.multiple(training, **steps), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # schedules move, optimizers do not
            made = real_train(net, *parts, verbose=False, **options)
        check_rates(made, record)
        history = recorded_history(record)
        write_history(save_path, history)
        return history

    return train


class Replay:
    """In place of `train_epoch` and `evaluate`: the figures of a record, epoch by epoch."""

    def __init__(self, record: dict) -> None:
        self.images = record["train_images"]
        self.history = recorded_history(record)
        self.done = 0

    def train_epoch(self, net, loader, optimizer, criterion, scheduler=None, **_) -> Trained:
        epoch = self.history.epochs[self.done]
        self.done += 1
        rates = []
        for _ in range(len(loader)):
            rates.append(float(optimizer.param_groups[0]["lr"]))
            if scheduler is not None:
                scheduler.step()
        return Trained(epoch.train_loss, epoch.train_accuracy, self.images, rates, epoch.height)

    def evaluate(self, net, loader, **_) -> Evaluation:
        epoch = self.history.epochs[self.done - 1]
        return Evaluation(epoch.test_loss, epoch.test_accuracy, None, None)


def check_rates(made: History, record: dict) -> None:
    """RebuildError if the notebook's learning rates are not those that the record tells of."""
    for rates, recorded in zip(
        made.learning_rates, record["by_epoch"]["learning_rates"], strict=True
    ):
        if [float(f"{rate:.4g}") for rate in rates[::10]] != recorded:
            raise RebuildError("The recipe is not that of the record any more: train it again.")


def write_history(path: Path, history: History) -> None:
    """Put the record's figures into the checkpoint; its learning rates are complete, and stay."""
    content = read_file(path)
    figures = history.as_lists()
    del figures["learning_rates"]
    content["history"] |= figures
    content["history"] |= {"device": history.device, "precision": history.precision}
    write_file(content, path)


def main(arguments: list[str] | None = None) -> None:
    """The program; `arguments` are those of the command line."""
    parser = argparse.ArgumentParser("python tools/rebuild_run.py", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("names", metavar="NAME", nargs="+", help="a notebook's: 05_resnet")
    for name in parser.parse_args(arguments).names:
        try:
            rebuild(name)
        except RebuildError as error:
            raise SystemExit(f"{name}: {error}") from None
        print(f"{name}: its run is in {config.relative(config.runs_dir / config.run.name)}.")


if __name__ == "__main__":
    main()
