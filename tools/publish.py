"""For maintainers: from a full run into the course, and README's two tables and its figure.

    .venv/bin/python tools/publish.py 05_resnet      publishes a run, and writes README's parts
    .venv/bin/python tools/publish.py                writes README's parts alone

For each notebook NAME, the record of its full run goes to data/results/ and its weights, in half
precision, to data/checkpoints/. Then, and also without names, what README shows of notebooks and
records is written again.
"""

import argparse
import hashlib
import io
import json
import re
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import safetensors.torch
import torch
from matplotlib.figure import Figure
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from utils import config, lesson, plot
from utils.data import Batches, ImageSet, load_cifar10, load_mnist
from utils.machinery import ipynb
from utils.machinery.checkpoint import load_weights, weights_of, write_bytes
from utils.train import evaluate

DATA = {"CIFAR-10": load_cifar10, "MNIST": load_mnist}
SPEEDS = config.results_dir / "two_cores.json"  # from tools/benchmarks/cpu_speed.py
COST = 0.0005  # of accuracy: what half precision has to stay below
DRIFT = 0.005  # of accuracy: how far a run may lie from its record, measured on another machine
COURSE = (
    "| notebook | network | paper | parameters | its own experiment | accuracy |\n"
    "|---|---|---|---:|---|---|\n"
)
RESULTS = (
    "| network | notebook | accuracy | epochs | minutes | trained on "
    "| parameters | multiply-adds | images/s |\n"
    "|---|---|---|---:|---:|---|---:|---:|---:|\n"
)


# --- from a run into the course ---------------------------------------------------------------


def publish(name: str) -> None:
    """Copy a run into the course, if it is one on all real images and survives half precision."""
    folder = run_folder(name)
    record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    check_full(name, record)
    net = lesson.build(name)
    load_weights(net, folder / "weights.safetensors")
    before = accuracy(net, record)
    content = safetensors.torch.save(weights_of(net.half()))
    after = accuracy(net.float(), record)
    if before - after >= COST or abs(before - record["accuracy"]) > DRIFT:
        raise SystemExit(
            f"{name} loses too much: {record['accuracy']:.2%} recorded, {before:.2%} now, "
            f"{after:.2%} in half precision."
        )
    record["weights_sha256"] = hashlib.sha256(content).hexdigest()
    record["weights_accuracy"] = after
    text = json.dumps(record, indent=1) + "\n"
    write_bytes(content, config.checkpoints_dir / f"{name}.safetensors")
    write_bytes(text.encode(), config.results_dir / f"{name}.json")


def run_folder(name: str) -> Path:
    """Where the notebook's full run on its real data set lies."""
    folders = [config.runs_dir / "full" / data / name for data in DATA]
    for folder in folders:
        if (folder / "record.json").is_file():
            return folder
    shown = config.relative(folders[0])
    raise SystemExit(f"There is no record in {shown}: do a full run of the notebook.")


def check_full(name: str, record: dict) -> None:
    """Stop if the record is not of a full run on all images."""
    train_set, test_set = all_images(record)
    wanted = ["full", len(train_set), len(test_set)]
    found = [record["run"], record["train_images"], record["test_images"]]
    if found != wanted:
        raise SystemExit(
            f"{name} has to be a full run on all images of {record['data']}, and is {found}."
        )


def all_images(record: dict) -> tuple[ImageSet, ImageSet]:
    """A record's real data set (training, test), whatever run size and data source are set."""
    load = DATA[record["data"]]
    return load(run=config.RUN_SIZES["full"], source="official")


def accuracy(net: nn.Module, record: dict) -> float:
    """What the network reaches on all test images, in float32, at the size of the last epoch."""
    test_set = all_images(record)[1]
    side = record["image_shape"][-1]
    resize = None if side == test_set.images.shape[-1] else side
    return evaluate(net, Batches(test_set, 250, resize=resize), precision="float32").accuracy


# --- minutes and speeds on two cores ----------------------------------------------------------


def speeds(name: str) -> dict | None:
    """Images a second on two CPU cores; None if that was not measured.

    {"train": {"24": ..., "32": ...}, "test": {"24": ..., "32": ...}}: by pixels a side.
    """
    if not SPEEDS.is_file():
        return None
    return json.loads(SPEEDS.read_text(encoding="utf-8"))["networks"].get(name)


def minutes(name: str, record: dict) -> list[float]:
    """Of each epoch on two CPU cores: reckoned from the speeds there, else those of the clock."""
    known = speeds(name)
    if known is None:
        return [seconds / 60 for seconds in record["by_epoch"]["seconds"]]
    result = []
    for side in record["by_epoch"]["height"]:
        training = record["train_images"] / known["train"][str(side)]
        testing = record["test_images"] / known["test"][str(side)]
        result.append((training + testing) / 60)
    return result


def own_minutes(record: dict) -> str:
    """How long the run itself took, where it was made."""
    own = record["seconds"] / 60
    return f"{own:.1f} min" if own < 10 else f"{own:.0f} min"


def speed(name: str, record: dict) -> float:
    """Images a second in training at the full size: on two CPU cores, else as the run was."""
    known = speeds(name)
    if known is None:
        return record["images_per_second"]
    return known["train"][str(record["image_shape"][1])]


# --- README -----------------------------------------------------------------------------------


def all_notebooks() -> list[str]:
    """The names of the notebooks on disk, without copies that a reader laid beside them."""
    return ipynb.names(config.root / "notebooks")


def link(name: str) -> str:
    """A notebook's name, as README links it."""
    return f"[{name}](notebooks/{name}.ipynb)"


def paper(introduction: str) -> str:
    """The paper that a notebook's first cell names: "He et al., 2015", linked where it is on arXiv.

    The cell says **The paper:** authors, *title*, where, year, and a link if there is one.
    """
    found = re.search(r"\*\*The paper:\*\* ([^*]+),\s+\*[^*]+\*,([^*]+)", introduction)
    if found is None:
        return ""
    authors = re.split(r",\s+|\s+and\s+", found[1])
    surnames = [author.split()[-1] for author in authors]
    who = " and ".join(surnames) if len(surnames) <= 2 else f"{surnames[0]} et al."
    year = re.search(r"\b(?:19|20)\d\d\b", found[2])
    text = f"{who}, {year[0]}" if year else who
    address = re.search(r"https://arxiv\.org/abs/[\d.]*\d", found[2])
    return f"[{text}]({address[0]})" if address else text


def parameters(name: str) -> int:
    """How many numbers the network of a notebook learns."""
    with torch.device("meta"):  # shapes without numbers
        net = lesson.build(name)
    return sum(p.numel() for p in net.parameters())


def reached(record: dict) -> str:
    """The accuracy, as both tables say it."""
    return f"{record['accuracy']:.2%} of {record['data']}"


def course_row(name: str) -> str:
    """A notebook's row in the table of all notebooks."""
    about = lesson.metadata(name)
    record = lesson.read_record(name)
    count = ""
    result = ""
    if name in lesson.notebooks():
        count = f"{parameters(name):,}"
        result = reached(record) if record else "not trained yet"
    cells = [
        link(name),
        about.get("title", ""),
        paper(introduction(name)),
        count,
        about.get("experiment", ""),
        result,
    ]
    return f"| {' | '.join(cells)} |\n"


def results_row(name: str, record: dict) -> str:
    """A notebook's row in the table of results."""
    cells = [
        record["network"],
        link(name),
        reached(record),
        str(record["epochs"]),
        f"{sum(minutes(name, record)):.0f}",
        f"{record['device']}, {record['precision']}, {own_minutes(record)}",
        f"{record['parameters']:,}",
        f"{record['mult_adds'] / 1e6:.1f} M",
        f"{speed(name, record):,.0f}",
    ]
    return f"| {' | '.join(cells)} |\n"


def introduction(name: str) -> str:
    """The text of a notebook's first cell."""
    path = config.root / "notebooks" / f"{name}.ipynb"
    first = json.loads(path.read_text(encoding="utf-8"))["cells"][0]
    return "".join(first["source"])


def tables() -> dict[str, str]:
    """README's generated parts, in Markdown: all notebooks, and the results of the trained."""
    course = COURSE
    results = RESULTS
    for name in all_notebooks():
        course += course_row(name)
        record = lesson.read_record(name)
        if record:
            results += results_row(name, record)
    return {"course": course, "results": results}


def figure() -> bytes:
    """An SVG of test accuracy on CIFAR-10 against minutes of training: a named point a network."""
    names = []
    time = []
    percent = []
    for name in lesson.notebooks():
        record = lesson.read_record(name)
        if record and record["data"] == "CIFAR-10":
            names.append(record["network"])
            time.append(sum(minutes(name, record)))
            percent.append(100 * record["accuracy"])
    svg = io.BytesIO()
    same_file = {"svg.hashsalt": "course"}  # for the same numbers
    with plt.rc_context(plot.STYLE | same_file):
        drawing = Figure(figsize=(7.5, 4.5), layout="constrained")
        plot.draw_frontier(drawing.subplots(), names, time, percent)
        drawing.savefig(svg, format="svg", metadata={"Date": None})
    return svg.getvalue()


def write_readme() -> None:
    """Put the tables between their marks, and draw the figure again."""
    readme = config.root / "README.md"
    text = readme.read_text(encoding="utf-8")
    for part, table in tables().items():
        begin = f"<!-- {part}: from python tools/publish.py -->\n"
        end = f"<!-- end of {part} -->"
        head, _, rest = text.partition(begin)
        _, found, tail = rest.partition(end)
        if not found:
            raise SystemExit(f"README.md lacks the lines {begin}{end}: put them in their place.")
        text = f"{head}{begin}\n{table}\n{end}{tail}"
    write_bytes(text.encode(), readme)
    write_bytes(figure(), config.results_dir / "accuracy.svg")


def main(arguments: list[str] | None = None) -> None:
    """The program; `arguments` are those of the command line."""
    parser = argparse.ArgumentParser("python tools/publish.py", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("names", metavar="NAME", nargs="*", help="a notebook's: 10_mobilenet_v2")
    names = parser.parse_args(arguments).names
    known = lesson.notebooks()
    unknown = sorted(set(names) - set(known))
    if unknown:
        parser.error(f"There is no network in {unknown[0]}: choose from {', '.join(known)}.")
    for name in names:
        publish(name)
    write_readme()


if __name__ == "__main__":
    main()
