"""What does each part of the recipe bring? Trains a network many times, with one thing changed:

    .venv/bin/python tools/studies/recipe.py SIZES|RECIPE|FULL|SENET [--images 10000] [--seeds 3]

The accuracies are those on 5,000 training images that are held out; the test set is never looked
at. SIZES: small images first, where each row may use about as much time as six epochs at 32 x 32.
RECIPE: one change each to what SIZES decided, the same epochs. FULL: whether that holds for the
length of a full run, with --images 45000; SENET: how many epochs SENet-18 needs; both are for a
GPU. Writes data/results/study_<name>.json after every run; runs that are in it already are not made
again. Real CIFAR-10 only.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from utils import config
from utils.data import Batches, balanced_indices, load_cifar10
from utils.lesson import networks
from utils.machinery.precision import autocast_dtype, device_name, memory_format
from utils.train import evaluate, parameter_groups, train_epoch

BASE = {
    "batch_size": 128,
    "peak": 0.2,
    "weight_decay": 5e-4,
    "smoothing": 0.1,
    "warm_up": 0.2,
    "shift": 2,
    "flip": "alternating",
    "sides": {1: 32},
    "epochs": 6,
    "crop": False,
}
SIZES = {
    "all at 32": {},
    "all at 32, seven epochs": {"epochs": 7},
    "all at 32, eight epochs": {"epochs": 8},
    "24, last three at 32 (resized)": {"sides": {1: 24, 8: 32}, "epochs": 10},
    "24, last three at 32 (cropped)": {"sides": {1: 24, 8: 32}, "epochs": 10, "crop": True},
    "16, 24, last three at 32 (resized)": {"sides": {1: 16, 5: 24, 10: 32}, "epochs": 12},
    "16, 24, last three at 32 (cropped)": {
        "sides": {1: 16, 5: 24, 10: 32},
        "epochs": 12,
        "crop": True,
    },
}
CHOSEN = {"sides": {1: 24, 8: 32}, "epochs": 10}  # what SIZES decided
RECIPE = {
    "the recipe": CHOSEN,
    "peak learning rate 0.1": CHOSEN | {"peak": 0.1},
    "peak learning rate 0.4": CHOSEN | {"peak": 0.4},
    "batches of 64": CHOSEN | {"batch_size": 64},
    "batches of 64, peak 0.1": CHOSEN | {"batch_size": 64, "peak": 0.1},
    "no label smoothing": CHOSEN | {"smoothing": 0.0},
    "flips drawn anew each time": CHOSEN | {"flip": True},
    "shifts of 4": CHOSEN | {"shift": 4},
}
TWELVE = {"sides": {1: 24, 10: 32}, "epochs": 12}
FULL = {
    "the recipe": TWELVE,
    "peak 0.1": TWELVE | {"peak": 0.1},
    "peak 0.4": TWELVE | {"peak": 0.4},
    "no smoothing": TWELVE | {"smoothing": 0.0},
    "smoothing 0.2": TWELVE | {"smoothing": 0.2},
    "flips drawn anew": TWELVE | {"flip": True},
}
SENET = {
    "12 epochs, the last three at 32": TWELVE,
    "15 epochs, the last four at 32": {"sides": {1: 24, 12: 32}, "epochs": 15},
    "15 epochs, the last six at 32": {"sides": {1: 24, 10: 32}, "epochs": 15},
}
STUDIES = {"SIZES": SIZES, "RECIPE": RECIPE, "FULL": FULL, "SENET": SENET}


class Crops(Batches):
    """Windows of `side` pixels at a random place of the image, in place of a smaller copy."""

    def prepare(self, images: Tensor) -> Tensor:
        side = self.side
        self.side = None
        images = super().prepare(images)
        self.side = side
        # One place a batch: the shifts differ already.
        top, left = torch.randint(images.shape[2] - side + 1, (2,)).tolist()
        return images[:, :, top : top + side, left : left + side]


def accuracy(build_network, recipe: dict, seed: int, train_set, held_out) -> tuple[float, float]:
    """(accuracy on the held-out images after the last epoch, processor seconds of training)."""
    torch.manual_seed(seed)
    net = build_network().to(config.device)
    loader_type = Crops if recipe["crop"] else Batches
    loader = loader_type(
        train_set,
        recipe["batch_size"],
        shuffle=True,
        crop_padding=recipe["shift"],
        flip=recipe["flip"],
        resize=recipe["sides"],
    )
    groups = parameter_groups(net, recipe["weight_decay"])
    optimizer = torch.optim.SGD(groups, lr=recipe["peak"], momentum=0.9, nesterov=True)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=recipe["peak"],
        total_steps=recipe["epochs"] * len(loader),
        pct_start=recipe["warm_up"],
        anneal_strategy="linear",
        cycle_momentum=False,
    )
    criterion = nn.CrossEntropyLoss(label_smoothing=recipe["smoothing"])
    net.to(memory_format=memory_format(config.device, net))
    dtype = autocast_dtype(config.device, "auto", net)
    start = time.process_time()
    for epoch in range(1, recipe["epochs"] + 1):
        loader.set_epoch(epoch)
        train_epoch(net, loader, optimizer, criterion, scheduler, dtype=dtype)
    seconds = time.process_time() - start
    return evaluate(net, Batches(held_out, 250, resize=loader.side)).accuracy, seconds


def network(study: str) -> tuple[str, Callable[[], nn.Module]]:
    """The network of a study: its name, and what makes it."""
    if study == "SENET":
        return "SENet-18", networks("08_senet").course_network
    return "ShuffleNet v2 x0.5", partial(networks("13_shufflenet_v2").ShuffleNetV2, width=0.5)


def read(path: Path, setting: dict) -> dict:
    """What the study has so far."""
    if path.is_file():
        return json.loads(path.read_text(encoding="utf-8"))
    base = {key: str(value) for key, value in BASE.items()}
    return {"setting": setting | {"base": base}, "runs": {}}


def done(record: dict, row: str, seed: int) -> bool:
    """Whether a row was trained from this seed already."""
    return any(run["seed"] == seed for run in record["runs"].get(row, []))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", choices=list(STUDIES))
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", nargs="*", help="only these; two processes may share the file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    path = config.results_dir / f"study_{options.study.lower()}.json"
    network_name, build_network = network(options.study)
    setting = {"network": network_name, "training_images": options.images}
    setting["held_out_images"] = 5_000
    if config.device.type != "cpu":
        dtype = str(autocast_dtype(config.device, "auto")).removeprefix("torch.")
        setting["device"] = f"{device_name(config.device)}, {dtype}"

    train_set, held_out = load_cifar10(5_000, config.RUN_SIZES["full"], "official")
    train_set = train_set.subset(balanced_indices(train_set.labels, options.images))
    rows = STUDIES[options.study]
    chosen = options.rows or list(rows)
    unknown = sorted(set(chosen) - set(rows))
    if unknown:
        parser.error(f"{options.study} has no row {unknown[0]}: choose from {', '.join(rows)}.")
    for seed in range(1, options.seeds + 1):
        for row in chosen:
            if done(read(path, setting), row, seed):
                continue
            recipe = BASE | rows[row]
            reached, seconds = accuracy(build_network, recipe, seed, train_set, held_out)
            run = {"seed": seed, "accuracy": reached, "seconds": round(seconds, 1)}
            record = read(path, setting)  # another process may have written to it
            record["runs"].setdefault(row, []).append(run)
            path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8", newline="\n")
            print(f"{row}, seed {seed}: {reached:.2%} in {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
