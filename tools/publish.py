"""For maintainers: from a full run into the course, and README's two tables and its figure.

For each notebook NAME, the record of its full run goes to data/results/ and its weights, in half precision, to
data/checkpoints/. Then, and also without names, what README shows of notebooks and records is written again.
"""

import argparse
import hashlib
import io
import json
import sys
from itertools import accumulate
from pathlib import Path

import matplotlib.pyplot as plt
import safetensors.torch
import torch
from matplotlib.figure import Figure
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from utils import config, lesson, plot
from utils.data import Batches, ImageSet, load_cifar10, load_mnist
from utils.machinery.checkpoint import load_weights, weights_of, write_bytes
from utils.train import evaluate

DATA = {"CIFAR-10": load_cifar10, "MNIST": load_mnist}
COST = 0.0005  # of accuracy: what half precision has to stay below
COURSE = (
    "| notebook | network | parameters | its own experiment | accuracy |\n|---|---|---:|---|---|\n"
)
RESULTS = """| network | notebook | accuracy | epochs | minutes on two cores | trained on | parameters | multiply-adds | images/s on two cores |
|---|---|---|---:|---:|---|---:|---:|---:|
"""
SPEEDS = config.results_dir / "two_cores.json"  # from tools/benchmarks/cpu_speed.py


def publish(name: str) -> None:
    """Copy a run into the course, if it is one on all real images and half precision does not spoil its weights."""
    folders = [config.runs_dir / "full" / data / name for data in DATA]
    folder = next((folder for folder in folders if (folder / "record.json").is_file()), None)
    if folder is None:
        raise SystemExit(
            f"There is no {config.relative(folders[0])}: do a full run of the notebook."
        )
    record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    what = [record[key] for key in ("run", "train_images", "test_images")]
    if what != ["full", *map(len, all_images(record))]:
        raise SystemExit(
            f"{name} has to be a full run on all images of {record['data']}, and is {what}."
        )
    load_weights(net := lesson.build(name), folder / "weights.safetensors")
    before = accuracy(net, record)
    content = safetensors.torch.save(weights_of(net.half()))
    after = accuracy(net.float(), record)
    if before - after >= COST or abs(before - record["accuracy"]) > 10 * COST:
        measured = (
            f"{record['accuracy']:.2%} recorded, {before:.2%} now, {after:.2%} in half precision"
        )
        raise SystemExit(f"{name} loses too much: {measured}.")
    record |= {"weights_sha256": hashlib.sha256(content).hexdigest(), "weights_accuracy": after}
    write_bytes(content, config.checkpoints_dir / f"{name}.safetensors")
    write_bytes((json.dumps(record, indent=1) + "\n").encode(), config.results_dir / f"{name}.json")


def all_images(record: dict) -> tuple[ImageSet, ImageSet]:
    """The real data set of a record (training, test), whatever run size and data source are set."""
    return DATA[record["data"]](run=config.RUN_SIZES["full"], source="official")


def accuracy(net: nn.Module, record: dict) -> float:
    """What the network reaches on all test images, in float32, at the image size of the record's last epoch."""
    test_set, side = all_images(record)[1], record["image_shape"][-1]
    resize = side if side != test_set.images.shape[-1] else None
    return evaluate(net, Batches(test_set, 250, resize=resize), precision="float32").accuracy


def speeds(name: str) -> dict | None:
    """Images a second on two CPU cores, {"train": {side: ...}, "test": {side: ...}}; None if that was not measured."""
    return (
        json.loads(SPEEDS.read_text(encoding="utf-8"))["networks"].get(name)
        if SPEEDS.is_file()
        else None
    )


def minutes(name: str, record: dict) -> list[float]:
    """Of each epoch, on two CPU cores: reckoned from the speed of some steps there, else those of the clock."""
    if (known := speeds(name)) is None:
        return [seconds / 60 for seconds in record["by_epoch"]["seconds"]]
    images = {"train": record["train_images"], "test": record["test_images"]}
    return [
        sum(n / known[k][str(side)] for k, n in images.items()) / 60
        for side in record["by_epoch"]["height"]
    ]


def speed(name: str, record: dict) -> float:
    """Images a second in training at the full size: on two CPU cores, else as the run was."""
    known = speeds(name)
    return known["train"][str(record["image_shape"][1])] if known else record["images_per_second"]


def tables() -> dict[str, str]:
    """README's generated parts, in Markdown: all notebooks, and the results of those that are trained."""
    course, results = COURSE, RESULTS
    for name in sorted(
        path.stem for path in (config.root / "notebooks").glob("[0-9][0-9]_*.ipynb")
    ):
        about, r, parameters, reached = lesson.metadata(name), lesson.read_record(name), "", ""
        if name in lesson.notebooks():
            with torch.device("meta"):  # shapes without numbers
                parameters = f"{sum(p.numel() for p in lesson.build(name).parameters()):,}"
            reached = f"{r['accuracy']:.2%} of {r['data']}" if r else "not trained yet"
        title, experiment = about.get("title", ""), about.get("experiment", "")
        course += f"| `{name}` | {title} | {parameters} | {experiment} | {reached} |\n"
        if r:
            per_epoch = minutes(name, r)
            results += (
                f"| {r['network']} | `{name}` | {reached} | {r['epochs']} | {sum(per_epoch):.0f} "
            )
            results += f"| {r['device']}, {r['precision']} | {r['parameters']:,} "
            results += f"| {r['mult_adds'] / 1e6:.1f} M | {speed(name, r):,.0f} |\n"
    return {"course": course, "results": results}


def figure() -> bytes:
    """An SVG of test accuracy on CIFAR-10 against minutes: a line a network over its epochs, its end named."""
    records = [
        (name, r)
        for name in lesson.notebooks()
        if (r := lesson.read_record(name)) and r["data"] == "CIFAR-10"
    ]
    records.sort(key=lambda pair: pair[1]["accuracy"], reverse=True)
    at = 102.0
    with plt.rc_context(
        plot.STYLE | {"svg.hashsalt": "course"}
    ):  # the same file for the same numbers
        axes = Figure(figsize=(7.5, 4.5)).subplots()
        axes.set(
            xlabel="minutes of training and testing on two CPU cores",
            ylabel="accuracy on the test set, %",
        )
        for number, (name, record) in enumerate(records):
            epochs = record["by_epoch"]
            colour = {"color": plot.COLOURS[number % len(plot.COLOURS)]}
            percent = [100 * fraction for fraction in epochs["test_accuracy"]]
            axes.plot(
                at_minute := list(accumulate(minutes(name, record))),
                percent,
                ".-",
                linewidth=1,
                **colour,
            )
            axes.plot(*(end := (at_minute[-1], percent[-1])), "o", **colour)
            at = min(end[1], at - 2)  # names stand in a column, at least 2 points apart
            link, place = (
                colour | {"arrowstyle": "-", "linewidth": 0.5},
                {"textcoords": ("axes fraction", "data")},
            )
            axes.annotate(
                record["network"], end, (1.02, at), arrowprops=link, va="center", **place, **colour
            )
        axes.figure.savefig(svg := io.BytesIO(), format="svg", metadata={"Date": None})
    return svg.getvalue()


def write_readme() -> None:
    """Put the tables between their marks, and draw the figure again."""
    text = (readme := config.root / "README.md").read_text(encoding="utf-8")
    for part, table in tables().items():
        begin, end = (
            f"<!-- {part}: from python tools/publish.py -->\n",
            f"<!-- end of {part} -->",
        )
        head, _, rest = text.partition(begin)
        _, found, tail = rest.partition(end)
        if not found:
            raise SystemExit(
                f"README.md lacks the lines {begin}{end}: put them where the table belongs."
            )
        text = f"{head}{begin}\n{table}\n{end}{tail}"
    write_bytes(text.encode(), readme)
    write_bytes(figure(), config.results_dir / "accuracy.svg")


def main(arguments: list[str] | None = None) -> None:
    """The program; `arguments` are those of the command line."""
    parser = argparse.ArgumentParser("python tools/publish.py", description=__doc__)
    parser.add_argument(
        "names", metavar="NAME", nargs="*", help="a notebook's, such as 10_mobilenet_v2"
    )
    names = parser.parse_args(arguments).names
    if unknown := set(names) - set(lesson.notebooks()):
        parser.error(
            f"There is no network in {min(unknown)}: choose from {', '.join(lesson.notebooks())}."
        )
    for name in names:
        publish(name)
    write_readme()


if __name__ == "__main__":
    main()
