"""Records of training runs, the weights that come with the course, and the README's table of results.

A notebook's section 9 writes a record of its run beside the weights. `python -m utils.results publish NAME` copies
both of a full run into data/results and data/checkpoints; `python -m utils.results` writes the README's table and
figure again. NAME is a notebook's, such as 10_mobilenet_v2.
"""

import base64
import json
import platform
import statistics
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import torch
import torchvision
from torch import nn
from torchinfo import summary

from utils import config, plot
from utils.checkpoint import load_weights, write_file
from utils.data import Batches, load_cifar10, load_mnist
from utils.lesson import networks
from utils.metrics import confusion_matrix, per_class_accuracy
from utils.train import Evaluation, History, calculation_dtype, evaluate

# What builds each network of the table, with ten classes.
NETWORKS = {
    "08_senet": lambda: networks("08_senet").SENet(classes=10),
    "10_mobilenet_v2": lambda: networks("10_mobilenet_v2").MobileNetV2(classes=10),
    "13_shufflenet_v2": lambda: networks("13_shufflenet_v2").ShuffleNetV2(classes=10, width=1.0),
    "14_efficientnet": lambda: networks("14_efficientnet").efficientnet("b0", classes=10),
    "15_efficientnet_mnist": lambda: networks("15_efficientnet_mnist").mnist_net(),
}
BEGIN, END = "<!-- results: written by python -m utils.results -->\n", "<!-- end of results -->"


class ResultsError(ValueError):
    """A record or weights are missing or not as they should be; the sentence says what to do."""


# --- records -------------------------------------------------------------------------------------------------


def write_record(
    path: Path,
    network: str,
    net: nn.Module,
    train_loader: Batches,
    history: History,
    test: Evaluation,
    optimizer: torch.optim.Optimizer,
    criterion: nn.Module,
    scheduler: Any = None,
) -> dict[str, Any]:
    """Write what a run was and what it measured, as JSON, and return it. Accuracies are fractions from 0 to 1.

    network: its name, as the table shows it. Speeds are medians over the epochs, seconds those of all of them
    together; multiply-adds are those of one image, as torchinfo counts them.
    """
    predicted = test.probabilities.argmax(1)
    accuracies = per_class_accuracy(confusion_matrix(test.labels, predicted, len(train_loader.classes)))
    image_shape = list(next(iter(train_loader))[0].shape[1:])
    record = {
        "network": network,
        "data": train_loader.name,
        "run": config.run.name,
        "train_images": len(train_loader.labels),
        "test_images": len(test.labels),
        "image_shape": image_shape,
        "epochs": len(history),
        "accuracy": test.accuracy,
        "class_accuracy": dict(zip(train_loader.classes, accuracies.tolist(), strict=True)),
        "seconds": sum(history.seconds),
        "seconds_an_epoch": statistics.median(history.seconds),
        "images_per_second": statistics.median(history.images_per_second),
        "device": config.device_name(),
        "precision": str(calculation_dtype(config.device)).removeprefix("torch."),
        "parameters": sum(p.numel() for p in net.parameters()),
        "mult_adds": summary(net, (1, *image_shape), verbose=0).total_mult_adds,
        "settings": _settings(train_loader, optimizer, criterion, scheduler),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
        },
        "commit": _commit(),
        "by_epoch": asdict(history),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return record


def read_record(name: str) -> dict[str, Any]:
    """The record of the run behind the course's weights of that name; ResultsError if there is none."""
    path = config.results / f"{name}.json"
    if not path.is_file():
        raise ResultsError(
            f"There is no record {config.relative(path)}: do a full run of the notebook and publish it."
        )
    return json.loads(path.read_text(encoding="utf-8"))


def compare_results(name: str, accuracy: float, data: str, epochs: int) -> None:
    """Print this run's accuracy beside the course's own run and the tutorial that the notebook grew from."""
    print(f"this run: {accuracy:.2%} on {data}, {config.run.name} run, epochs: {epochs}")
    if (config.results / f"{name}.json").is_file():
        record = read_record(name)
        print(
            f"the course's weights: {record['accuracy']:.2%} on {record['data']}, "
            f"{record['train_images']:,} images, epochs: {record['epochs']}, {record['device']}"
        )
    if tutorial := _tutorials().get(name):
        print(
            f"the tutorial{tutorial['variant']}: {tutorial['accuracy']:.2%}, all images, epochs: {tutorial['epochs']}"
        )


def show_recipe(name: str) -> None:
    """Print what each part of the training recipe brings: the runs of tests/benchmarks/tune_recipe.py."""
    record = read_record(f"recipe_{name}")
    setting, accuracies = record["setting"], record["held_out_accuracy"]
    first = next(iter(accuracies.values()))
    print(
        f"{setting['network']}, {setting['training_images']:,} training images, {setting['epochs']} epochs; "
        f"accuracy on {setting['held_out_images']:,} held-out training images:"
    )
    for change, accuracy in accuracies.items():
        print(f"{accuracy:8.2%}  {100 * (accuracy - first):+5.2f}  {change}")


def load_trained(net: nn.Module, name: str, own: bool = True) -> None:
    """Put trained weights into `net`: your own of this run size, or those that come with the course; say which.

    name: the notebook's. own=False takes the course's in any case. CheckpointError if they do not fit.
    """
    path = config.runs_dir / config.run.name / name / "weights.pt"
    whose = "your own"
    if not own or not path.is_file():
        path, whose = shipped_weights(name), "the course's"
    load_weights(net, path)
    print(f"Weights: {whose}, {config.relative(path)}.")


def shipped_weights(name: str) -> Path:
    """Where the course's weights of a notebook's network are: data/checkpoints/mobilenet_v2.pt for 10_mobilenet_v2."""
    return config.checkpoints / f"{name.partition('_')[2]}.pt"


def _settings(train_loader: Batches, optimizer: Any, criterion: Any, scheduler: Any) -> dict[str, Any]:
    """What the recipe was, read from the objects that trained."""
    group = optimizer.param_groups[0]
    cycled = "max_momentum" in group  # OneCycleLR lowers the momentum while the learning rate is high
    return {
        "batch_size": train_loader.batch_size,
        "crop_padding": train_loader.crop_padding,
        "flip": train_loader.flip,
        "cutout": train_loader.cutout,
        "resize": train_loader.resize,
        "optimizer": type(optimizer).__name__,
        "peak_learning_rate": max(group.get("max_lr", 0), group.get("initial_lr", 0)) or group["lr"],
        "momentum": [group["base_momentum"], group["max_momentum"]] if cycled else group.get("momentum"),
        "nesterov": group.get("nesterov"),
        "weight_decay": [g["weight_decay"] for g in optimizer.param_groups],
        "scheduler": type(scheduler).__name__ if scheduler else None,
        "label_smoothing": getattr(criterion, "label_smoothing", 0.0),
    }


def _commit() -> str | None:
    """The commit of the course that ran, if it is in git."""
    command = ["git", "-C", str(config.root), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _tutorials() -> dict[str, Any]:
    return json.loads((config.results / "tutorials.json").read_text(encoding="utf-8"))


# --- from a run into the course --------------------------------------------------------------------------------


def recompute(name: str) -> tuple[float, int]:
    """(accuracy, test images) of the course's weights, on the whole test set of their data; takes a minute or so."""
    record, net = read_record(name), NETWORKS[name]()
    load_weights(net, shipped_weights(name))
    test = evaluate(net, _test_loader(record), precision="float32")
    return test.accuracy, len(test.labels)


def publish(name: str) -> None:
    """Copy a full run's record to data/results and its weights, in float16, to data/checkpoints.

    ResultsError if it was not a full run on the real data, or if float16 costs 0.05 points of accuracy.
    """
    folder = config.runs_dir / "full" / name
    record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    if record["data"] not in ("CIFAR-10", "MNIST") or record["train_images"] < 50_000:
        raise ResultsError(
            f"{name} was trained on {record['train_images']} images of {record['data']}: use all."
        )
    net, loader = NETWORKS[name](), _test_loader(record)
    load_weights(net, folder / "weights.pt")
    before = evaluate(net, loader, precision="float32").accuracy
    half = {key: t.half() if t.is_floating_point() else t for key, t in net.state_dict().items()}
    net.load_state_dict(half)
    after = evaluate(net, loader, precision="float32").accuracy
    if before - after >= 0.0005:
        raise ResultsError(f"float16 costs {name} {100 * (before - after):.2f} points: ship float32.")
    record["float16_accuracy"] = after
    write_file({key: tensor.cpu() for key, tensor in half.items()}, shipped_weights(name))
    text = json.dumps(record, indent=1) + "\n"
    (config.results / f"{name}.json").write_text(text, encoding="utf-8")
    print(f"{name}: {record['accuracy']:.2%} in the run, {before:.2%} in float32, {after:.2%} in float16")


def _test_loader(record: dict[str, Any]) -> Batches:
    _, test_set = (load_mnist if record["data"] == "MNIST" else load_cifar10)()
    return Batches(test_set, batch_size=250, resize=record["settings"]["resize"])


# --- the README's table ----------------------------------------------------------------------------------------


def table() -> str:
    """The README's table, in Markdown: a line for each network that has a record."""
    lines = [
        "| network | notebook | accuracy | training | parameters | multiply-adds | time per epoch | the tutorial |",
        "|---|---|---|---|---|---|---|---|",
    ]
    tutorials = _tutorials()
    for name in NETWORKS:
        if not (config.results / f"{name}.json").is_file():
            continue
        record, tutorial = read_record(name), tutorials.get(name)
        epochs = f"{record['epochs']} epochs" if record["epochs"] > 1 else "1 epoch"
        peer = (
            f"{tutorial['accuracy']:.2%}{tutorial['variant']}, {tutorial['epochs']} epochs"
            if tutorial
            else ""
        )
        lines.append(
            f"| {record['network']} | `{name}` | **{record['accuracy']:.2%}** | {epochs} of "
            f"{record['train_images']:,} images of {record['data']} | {record['parameters']:,} | "
            f"{record['mult_adds'] / 1e6:.1f} M | {record['seconds_an_epoch'] / 60:.1f} min, {record['device']}, "
            f"{record['precision']} | {peer} |"
        )
    return "\n".join(lines) + "\n"


def write_readme() -> None:
    """Put the table between its two marks in README.md."""
    path = config.root / "README.md"
    head, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, _, tail = rest.partition(END)
    if not tail:
        raise ResultsError(
            f"README.md has no lines {BEGIN.strip()} and {END}: put them where the table belongs."
        )
    path.write_text(head + BEGIN + "\n" + table() + "\n" + END + tail, encoding="utf-8")


def write_figure() -> None:
    """Draw accuracy on CIFAR-10 against multiply-adds: data/results/accuracy.svg, for the README."""
    records = [read_record(name) for name in NETWORKS if (config.results / f"{name}.json").is_file()]
    records = [record for record in records if record["data"] == "CIFAR-10"]
    plt.switch_backend("svg")
    plt.rcParams["svg.hashsalt"] = "course"  # the same file for the same numbers
    plt.show = lambda: plt.savefig(config.results / "accuracy.svg", metadata={"Date": None})
    plot.points(
        [f"{record['network']} ({record['epochs']} epochs)" for record in records],
        [record["mult_adds"] / 1e6 for record in records],
        [100 * record["accuracy"] for record in records],
        "multiply-adds for an image, millions",
        "accuracy on the test set, %",
        log_x=True,
    )


def picture() -> bytes:
    """The figure of section 10 in which SENet sees the course's pictures, a JPEG, as it is saved in the notebook."""
    book = json.loads((config.root / "notebooks" / "08_senet.ipynb").read_text(encoding="utf-8"))
    outputs = next(cell["outputs"] for cell in book["cells"] if cell["id"] == "predict-gallery")
    return base64.b64decode(
        next(o["data"]["image/jpeg"] for o in outputs if "image/jpeg" in o.get("data", {}))
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["publish"]:
        for name in sys.argv[2:]:
            publish(name)
    write_readme()
    write_figure()
    (config.results / "predictions.jpg").write_bytes(picture())
