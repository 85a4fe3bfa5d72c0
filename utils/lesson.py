"""A notebook and what it left: the networks that it defines, its trained weights, the record of its run.

A network is defined in its notebook, because it is the lesson, and nowhere else. The cells that define it (imports,
blocks, network; no experiment and no data) carry the tag `network`; the last of them defines `course_network`.
"""

import json
import linecache
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from utils import config
from utils.machinery import record as records
from utils.machinery.checkpoint import load_weights, save_weights  # noqa: F401 (notebooks take it from here)
from utils.metrics import confusion_matrix, per_class_accuracy
from utils.train import Evaluation, History, Loader


def notebooks() -> list[str]:
    """The names of the notebooks on disk that define a network: "10_mobilenet_v2", ..."""
    names = sorted(path.stem for path in (config.root / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    return [name for name in names if cells(name, "network")]


def cells(name: str, tag: str) -> list[str]:
    """The sources of a notebook's code cells with this tag, in order."""
    code = [cell for cell in _read(name)["cells"] if cell["cell_type"] == "code"]
    return ["".join(cell["source"]) for cell in code if tag in cell["metadata"].get("tags", [])]


def metadata(name: str) -> dict[str, str]:
    """What a notebook says of itself in its metadata: {"title": ..., "experiment": ...}."""
    return _read(name)["metadata"].get("course", {})


def _read(name: str) -> dict[str, Any]:
    path = config.root / "notebooks" / f"{name}.ipynb"
    if not path.is_file():
        raise ValueError(f"There is no notebook {name}: choose one of {', '.join(notebooks())}.")
    return json.loads(path.read_text(encoding="utf-8"))


@cache
def networks(name: str) -> ModuleType:
    """What the cells tagged `network` define: networks("14_efficientnet").efficientnet("b1"), say. They run once."""
    sources = cells(name, "network")
    module = ModuleType(f"lesson_{name}")
    sys.modules[module.__name__] = module  # so that its classes can be found by name, as those of any module
    try:
        for number, source in enumerate(sources, start=1):
            cell = f"<{name}, network cell {number}>"
            linecache.cache[cell] = (len(source), None, source.splitlines(True), cell)  # for tracebacks
            exec(compile(source, cell, "exec", dont_inherit=True), vars(module))
    except BaseException:
        del sys.modules[module.__name__]
        raise
    return module


def build(name: str) -> nn.Module:
    """The network that a notebook trains, with ten classes and new weights."""
    return networks(name).course_network()


def load_trained(net: nn.Module, folder: Path, own: bool = True) -> None:
    """Put trained weights into `net`, your own from `folder` (config.run_folder) or the course's; say which."""
    path, whose = folder / "weights.safetensors", "your own"
    if not own or not path.is_file():
        path, whose = config.checkpoints_dir / f"{folder.name}.safetensors", "the course's"
    load_weights(net, path)
    print(f"Weights: {whose}, {config.relative(path)}.")


def read_record(name: str) -> dict[str, Any] | None:
    """The record of the run behind the course's weights of a notebook; None if it is not trained yet."""
    path = config.results_dir / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def compare_results(folder: Path, accuracy: float, data: str, epochs: int) -> None:
    """Print this run's accuracy beside that of the course's own run of the notebook."""
    print(f"this run: {accuracy:.2%} on {data}, {config.run.name} run, epochs: {epochs}")
    if record := read_record(folder.name):
        print(
            f"the course's run: {record['accuracy']:.2%} on {record['data']}, {record['train_images']:,} images, "
            f"epochs: {record['epochs']}, {record['seconds'] / 60:.0f} minutes on {record['device']}"
        )


def write_record(
    path: Path,
    network: str,
    net: nn.Module,
    train_loader: Loader,
    history: History,
    test: Evaluation,
    optimizer: torch.optim.Optimizer,
    criterion: nn.Module,
    scheduler: Any = None,
) -> dict[str, Any]:
    """Write what a run was and what it measured, as JSON, and return it; what cannot be known is null.

    network: its name, as the table shows it. Accuracies are fractions, speeds medians over the epochs, seconds those of
    training and testing; multiply-adds are those of one image, as torchinfo counts them.
    """
    classes = getattr(train_loader, "classes", None) or [str(k) for k in range(test.probabilities.shape[1])]
    matrix = confusion_matrix(test.labels, test.probabilities.argmax(1), len(classes))
    record = {"network": network, "test_images": len(test.labels), "accuracy": test.accuracy}
    record["class_accuracy"] = dict(zip(classes, per_class_accuracy(matrix).tolist(), strict=True))
    record |= records.of_training(net, train_loader, history)
    record |= records.of_recipe(net, train_loader, optimizer, criterion, scheduler)
    return records.write(record, path)
