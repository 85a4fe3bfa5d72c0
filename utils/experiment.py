"""Experiments: short trainings that differ in one thing, a stopwatch, and studies kept in a file.

`trial` trains one new network. `ablation` trains variants of one from several seeds, all alike.
`stopwatch` times ways of doing the same. `study` keeps what long trainings found: one entry for
each variant and seed.
"""

import json
import math
import random
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR
from tqdm import tqdm

from utils import config
from utils.data import Batches, ImageSet, balanced_indices, load_cifar10
from utils.machinery.checkpoint import write_bytes
from utils.machinery.precision import device_name
from utils.train import History, evaluate, parameter_groups, train

UNITS = {"s": 1.0, "ms": 1e3, "µs": 1e6}  # of the stopwatch, in a second


def by_run(full: int, short: int, quick: int) -> int:
    """One of the three, by the size of this run: by_run(6, 4, 1) epochs, say."""
    return {"full": full, "short": short, "quick": quick}[config.run.name]


# --- short trainings ------------------------------------------------------------------------------


class Trial(NamedTuple):
    """A short training: the network, what was measured, and the accuracy on images held out."""

    net: nn.Module
    history: History
    accuracy: float  # a fraction; nan if no images were held out


def trial(
    build: Callable[[], nn.Module],
    train_set: ImageSet,
    held_out: ImageSet | None = None,
    epochs: int = 6,
    *,
    seed: int = 1,
    rate: float = 0.05,
    batch_size: int = 32,
    size: int | dict[int, int] | None = None,
    criterion: Callable[[Any, Tensor], Tensor] | None = None,
    weight_decay: float = 5e-4,
    crop_padding: int = 2,
    flip: bool | str = "alternating",
    title: str | None = None,
    follow: bool = False,
) -> Trial:
    """Train one new network with the course's recipe in small, and test it once, at the end.

    build: makes the network, after the seed was set.  rate: the peak of the learning rate; like the
    batch it is a quarter of the recipe's.  size, crop_padding, flip: as for Batches.  criterion:
    cross-entropy with the recipe's label smoothing unless told.  title: begins a printed line.
    follow: also tests on held_out after each epoch, for its history.
    Stopping it (Ctrl-C, the stop button) ends the cell: a network half trained compares with none.
    """
    torch.manual_seed(seed)
    net = build().to(config.device)
    loader = Batches(
        train_set, batch_size, shuffle=True, crop_padding=crop_padding, flip=flip, resize=size
    )
    groups = parameter_groups(net, weight_decay)
    optimizer = torch.optim.SGD(groups, lr=rate, momentum=0.9, nesterov=True)
    scheduler = OneCycleLR(
        optimizer,
        max_lr=rate,
        total_steps=epochs * len(loader),
        pct_start=0.2,
        anneal_strategy="linear",
        cycle_momentum=False,
    )
    if criterion is None:
        criterion = nn.CrossEntropyLoss(label_smoothing=0.1)

    tests = None
    if follow and held_out is not None:
        tests = Batches(held_out, 250, resize=size)
    history = train(net, loader, tests, epochs, optimizer, criterion, scheduler, verbose=False)
    if history.stopped:
        raise KeyboardInterrupt

    accuracy = math.nan if held_out is None else accuracy_on(net, held_out, loader.side)
    if title is not None:
        tested = "" if held_out is None else f"held out {accuracy:.1%}, "
        loss = history.train_loss[-1]
        seconds = sum(history.seconds)
        print(f"{title}, seed {seed}: {tested}training loss {loss:.3f}, {seconds:.0f} s")
    return Trial(net, history, accuracy)


def accuracy_on(net: nn.Module, image_set: ImageSet, size: int | None = None) -> float:
    """The share of an image set that the network gets right; size: of the images, in pixels."""
    return evaluate(net, Batches(image_set, 250, resize=size)).accuracy


def ablation(
    variants: Mapping[str, Callable[[], nn.Module]],
    epochs: int = 6,
    *,
    images: int = 5_000,
    size: int = 24,
    batch_size: int = 32,
    seeds: int = 3,
) -> dict[str, list[float]]:
    """Train every variant of a network from several seeds, all alike: its accuracies, one a seed.

    variants: by name, what makes the network.  images: how many to learn from.  size: of the
    images, in pixels. The accuracies are fractions of 5,000 other training images of CIFAR-10: the
    test set chooses nothing. A short run learns from at most 1,500 images and two seeds and judges
    by 2,000 others; a quick run takes what there is, once.
    """
    images = by_run(full=images, short=min(images, 1_500), quick=images)
    others = by_run(full=5_000, short=2_000, quick=5_000)
    epochs = by_run(full=epochs, short=epochs, quick=1)
    seeds = by_run(full=seeds, short=min(seeds, 2), quick=1)
    run = config.run if config.run.name == "quick" else config.RUN_SIZES["full"]
    train_set, held_out = load_cifar10(validation=5_000, run=run)
    train_set = train_set.subset(balanced_indices(train_set.labels, images))
    held_out = held_out.subset(balanced_indices(held_out.labels, min(others, len(held_out))))

    count = len(variants) * seeds
    length = "1 epoch" if epochs == 1 else f"{epochs} epochs"
    print(
        f"{count} trainings of {len(train_set):,} images and {length} each, "
        f"judged on {len(held_out):,} others."
    )
    results: dict[str, list[float]] = {}
    with tqdm(total=count, unit="training", file=sys.stdout, leave=False, ncols=80) as bar:
        for name, build in variants.items():
            bar.set_description(name)
            results[name] = []
            for seed in range(1, seeds + 1):
                done = trial(
                    build, train_set, held_out, epochs, seed=seed, size=size, batch_size=batch_size
                )
                results[name].append(done.accuracy)
                bar.update()
            accuracies = ", ".join(f"{accuracy:.1%}" for accuracy in results[name])
            bar.write(f"{name}: {accuracies}; mean {statistics.mean(results[name]):.1%}")
    return results


# --- the stopwatch --------------------------------------------------------------------------------


class Timings(NamedTuple):
    """What the stopwatch found, by the names of the ways: one number a round."""

    seconds: dict[str, list[float]]
    ratios: dict[str, list[float]]  # to the first way in the same round; its twin stands first


def stopwatch(
    ways: Mapping[str, Callable[[], Any]],
    rounds: int = 60,
    *,
    threads: int | None = None,
    unit: str = "ms",
    work: Mapping[str, float] | None = None,
) -> Timings:
    """Time ways of doing the same, each once a round, and print a table against the first of them.

    ways: by name, a function that does the work once; its result needs no reading, as the stopwatch
    itself waits for the GPU. The first has a twin, the same once more: how far the two differ is
    the noise.  rounds: each in an order of its own, after one that warms up; a quick run has two.
    threads: of torch, meanwhile.  unit: s, ms or µs.  work: by name, operations in a call; then
    the table and the ratios are of speeds, in billions a second, and not of times.
    """
    if not ways:
        raise ValueError("There is nothing to time: give stopwatch() at least one way.")
    first = next(iter(ways))
    twin = f"{first}, again"
    calls = {first: ways[first], twin: ways[first], **ways}
    names = list(calls)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    shuffle = random.Random(1).shuffle
    threads_before = torch.get_num_threads()
    torch.set_num_threads(threads or threads_before)
    try:
        for _ in range(1 + by_run(full=rounds, short=rounds, quick=2)):
            order = names.copy()
            shuffle(order)
            for name in order:
                seconds[name].append(_time(calls[name]))
    finally:
        torch.set_num_threads(threads_before)

    seconds = {name: times[1:] for name, times in seconds.items()}
    if work is None:
        figures = {name: [s * UNITS[unit] for s in times] for name, times in seconds.items()}
    else:
        unit = "billions/s"
        operations = {**work, twin: work[first]}
        figures = {
            name: [operations[name] / s / 1e9 for s in times] for name, times in seconds.items()
        }
    ratios = {
        name: [figure / base for figure, base in zip(figures[name], figures[first], strict=True)]
        for name in names[1:]
    }
    _print_timings(figures, ratios, unit)
    return Timings(seconds, ratios)


def _time(work: Callable[[], Any]) -> float:
    """Seconds that a call takes, until the GPU is done with it."""
    _wait_for_gpu()
    start = time.perf_counter()
    work()
    _wait_for_gpu()
    return time.perf_counter() - start


def _wait_for_gpu() -> None:
    if config.device.type == "cuda":
        torch.cuda.synchronize(config.device)
    elif config.device.type == "mps":
        torch.mps.synchronize()


def _print_timings(
    figures: dict[str, list[float]], ratios: dict[str, list[float]], unit: str
) -> None:
    """A table: median and middle half of each way, and of its ratios to the first."""
    twin = next(iter(ratios))
    low, _, high = _quartiles(ratios[twin])
    noise = max(1 - low, high - 1)
    rows = [("", f"{unit}, median", "middle half", "times the first", "")]
    for name, values in figures.items():
        low, median, high = _quartiles(values)
        half = f"{low:.2f} to {high:.2f}"
        against, verdict = "", ""
        if name in ratios:
            low, ratio, high = _quartiles(ratios[name])
            against = f"{ratio:.2f} ({low:.2f} to {high:.2f})"
            beyond = low > 1 + noise or high < 1 - noise
            verdict = "beyond the noise" if beyond else "within the noise"
        if name == twin:
            verdict = "the noise"
        rows.append((name, f"{median:.2f}", half, against, verdict))

    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, *cells, verdict in rows:
        numbers = [f"{cell:>{width}}" for cell, width in zip(cells, widths[1:], strict=False)]
        print("  ".join([f"{name:{widths[0]}}", *numbers, verdict]).rstrip())


def _quartiles(values: list[float]) -> list[float]:
    """The ends of the middle half, with the median between them."""
    return np.percentile(values, [25, 50, 75]).tolist()


# --- recorded studies -----------------------------------------------------------------------------


class Study(NamedTuple):
    """What was tried, and for each variant its runs: {"seed": 1, "accuracy": 0.85, ...}."""

    setting: dict[str, Any]
    runs: dict[str, list[dict[str, Any]]]

    def values(self, key: str = "accuracy") -> dict[str, list[Any]]:
        """For each variant what its runs measured under this name, one value a seed."""
        return {name: [run[key] for run in runs] for name, runs in self.runs.items()}

    def percent(self) -> dict[str, list[float]]:
        """For each variant its accuracies on held-out images in percent, one a seed."""
        return {
            name: [100 * accuracy for accuracy in accuracies]
            for name, accuracies in self.values().items()
        }


def study(
    path: Path,
    setting: Mapping[str, Any],
    variants: Mapping[str, Callable[[int], Mapping[str, Any]]],
    seeds: Sequence[int],
) -> None:
    """Run every variant from every seed that `path` does not hold yet, and write after each run.

    setting: what all runs share, as JSON can hold it.  variants: by name, a function that takes the
    seed and gives what it measured, at least {"accuracy": a fraction}. An entry also has minutes,
    device and threads. ValueError if the file holds runs of another setting.
    """
    for seed in seeds:
        for name, run in variants.items():
            if _is_recorded(_read_entries(path, setting), name, seed):
                continue
            start = time.perf_counter()
            measured = run(seed)
            minutes = (time.perf_counter() - start) / 60
            entry = {
                "variant": name,
                "seed": seed,
                "minutes": round(minutes, 2),
                "device": device_name(config.device),
                "threads": torch.get_num_threads(),
                **measured,
            }
            entries = _read_entries(path, setting)  # again: another process may have added to it
            _write_entries(path, setting, [*entries, entry])
            reached = f"{entry['accuracy']:.2%}, {entry['minutes']:.1f} minutes"
            print(f"{name}, seed {seed}: {reached}", flush=True)


def read_study(name: str) -> Study:
    """A study that comes with the course: of data/results/study_<name>.json."""
    path = config.results_dir / f"study_{name}.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    runs: dict[str, list[dict[str, Any]]] = content.get("runs", {})  # as older studies were kept
    for entry in content.get("entries", []):
        runs.setdefault(entry["variant"], []).append(entry)
    return Study(content["setting"], runs)


def study_table(recorded: Study) -> None:
    """Print what the runs of a study share, and for each variant its rate and its accuracies.

    The accuracies are those on held-out images in percent: the mean, and one a seed.
    """
    setting = recorded.setting
    learned = f"{setting['training_images']:,} images to learn from"
    judged = f"{setting['held_out_images']:,} held out"
    print(f"{setting['network']}: {learned}, {judged}, {setting['epochs']} epochs.")
    width = max(len(name) for name in recorded.runs)
    for name, accuracies in recorded.percent().items():
        rate = recorded.runs[name][0]["rate"]
        seeds = "  ".join(f"{accuracy:.2f}" for accuracy in accuracies)
        mean = statistics.mean(accuracies)
        print(f"{name:{width}}  rate {rate:<5}  mean {mean:.2f} %   seed by seed {seeds}")


def _is_recorded(entries: list[dict[str, Any]], variant: str, seed: int) -> bool:
    return any(entry["variant"] == variant and entry["seed"] == seed for entry in entries)


def _read_entries(path: Path, setting: Mapping[str, Any]) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    content = json.loads(path.read_text(encoding="utf-8"))
    if content["setting"] != json.loads(json.dumps(setting)):  # lists and tuples are alike in JSON
        raise ValueError(
            f"{config.relative(path)} holds a study of another setting: give another file."
        )
    return content["entries"]


def _write_entries(path: Path, setting: Mapping[str, Any], entries: list[dict[str, Any]]) -> None:
    content = {"setting": setting, "entries": entries}
    content = json.loads(json.dumps(content), parse_constant=lambda _: None)  # nan as null
    write_bytes((json.dumps(content, indent=1) + "\n").encode(), path)
