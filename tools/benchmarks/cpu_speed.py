"""How fast do the networks train on this processor, and what does each lever bring?

Run by hand, on an idle machine:

    .venv/bin/python tools/benchmarks/cpu_speed.py speeds [NAME ...]    writes two_cores.json
    .venv/bin/python tools/benchmarks/cpu_speed.py levers [NAME ...]    writes levers.json

Both files lie in data/results/.

speeds: images a second of training steps and of testing, at each image size of the recipe, so that
README can tell the minutes of a run on two cores, wherever it was made.

levers: the course's way against the ordinary loop (a DataLoader with two workers and PIL
transforms, float32, contiguous maps, `.item()` in each step) at 32 x 32, and the course's way with
one lever taken away each time.

Each figure is measured in a process of its own, in turn, round by round; figures are medians.
"""

import argparse
import ctypes
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
RESULTS = ROOT / "data" / "results"
BATCH = 128
STEPS = 4  # that are timed; two more come before them
COURSE = {"allocator": True, "channels_last": True, "precision": "auto", "batches": True}
LEVERS = {
    "ordinary": {
        "allocator": False,
        "channels_last": False,
        "precision": "float32",
        "batches": False,
    },
    "course": {},
    "course without the allocator": {"allocator": False},
    "course without channels_last": {"channels_last": False},
    "course without bfloat16": {"precision": "float32"},
    "course without Batches": {"batches": False},
}


def leave_the_allocator_alone() -> None:
    """Import the course's settings where they find no mallopt, and leave memory as it comes."""
    import torch  # noqa: F401 (it needs CDLL itself)

    with mock.patch.object(ctypes, "CDLL", side_effect=OSError):
        from utils import config  # noqa: F401


def measure(name: str, side: int, way: dict) -> dict:
    """In a process of its own: images a second of one network, at one size, in one way."""
    if not way["allocator"]:
        leave_the_allocator_alone()
    import torch

    from utils import lesson
    from utils.machinery.precision import autocast_dtype

    torch.manual_seed(1)
    net = lesson.build(name)
    layout = torch.channels_last if way["channels_last"] else torch.contiguous_format
    net.to(memory_format=layout)
    dtype = autocast_dtype(torch.device("cpu"), way["precision"], net)
    loader = training_batches(net, side, way["batches"])
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        train = training_speed(net, loader, layout)
        test = testing_speed(net, side, layout)
    return {"train": train, "test": test, "precision": str(dtype).removeprefix("torch.")}


def training_batches(net, side: int, batches: bool):
    """A loader of so many batches as are timed, two more, of the network's data set."""
    import torch

    from utils import config
    from utils.data import Batches, load_cifar10, load_mnist

    grey = next(net.parameters()).shape[1] == 1
    load = load_mnist if grey else load_cifar10
    images = load(run=config.RUN_SIZES["short"])[0]
    images = images.subset(torch.arange(BATCH * (STEPS + 2)))
    if batches:
        resize = None if side == images.images.shape[-1] else side
        ways = {"crop_padding": 2, "flip": not grey, "resize": resize, "device": "cpu"}
        return Batches(images, BATCH, shuffle=True, **ways)
    from train_throughput import Pictures

    return torch.utils.data.DataLoader(Pictures(images), BATCH, shuffle=True, num_workers=2)


def training_speed(net, loader, layout) -> float:
    """Images a second, from the third step on, with the data work between the steps."""
    from torch import nn
    from torch.optim import SGD

    from utils.train import parameter_groups

    net.train()
    optimizer = SGD(parameter_groups(net, 5e-4), lr=0.01, momentum=0.9, nesterov=True)
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    times = []
    for pictures, labels in loader:
        times.append(time.perf_counter())
        loss = criterion(net(pictures.to(memory_format=layout)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()
    times.append(time.perf_counter())
    return BATCH * (len(times) - 3) / (times[-1] - times[2])


def testing_speed(net, side: int, layout) -> float:
    """Images a second of two batches of 250, after one that warms up."""
    import torch

    net.eval()
    channels = next(net.parameters()).shape[1]
    pictures = torch.rand(250, channels, side, side).contiguous(memory_format=layout)
    with torch.inference_mode():
        net(pictures)
        start = time.perf_counter()
        net(pictures)
        net(pictures)
    return 500 / (time.perf_counter() - start)


def in_a_process(name: str, side: int, change: dict) -> dict:
    """The figures of one measurement, with as many threads as there are cores."""
    command = [sys.executable, __file__, "one", name, str(side), json.dumps(COURSE | change)]
    env = os.environ | {"COURSE_DEVICE": "cpu"}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def processor() -> str:
    """Its name, cores and instructions for bfloat16."""
    path = Path("/proc/cpuinfo")
    info = path.read_text() if path.is_file() else ""
    name = platform.processor()
    for line in info.splitlines():
        if line.startswith("model name"):
            name = line.partition(":")[2].strip()
    kinds = [word for word in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if word in info]
    return f"{name}, {os.cpu_count()} cores, {', '.join(kinds)}"


def sizes(name: str) -> tuple[int, ...]:
    """The sizes, in pixels a side, at which a notebook's network trains."""
    if "mnist" in name:
        return (32, 48)
    if name.startswith(("01", "21")):
        return (32,)
    return (24, 32)


def speeds(names: list[str], rounds: int) -> None:
    """Measure each network at its sizes, and write two_cores.json after each."""
    path = RESULTS / "two_cores.json"
    result = json.loads(path.read_text()) if path.is_file() else {"networks": {}}
    result["processor"] = processor()
    for name in names:
        row = {"precision": "", "train": {}, "test": {}}
        for side in sizes(name):
            found = [in_a_process(name, side, {}) for _ in range(rounds)]
            row["precision"] = found[0]["precision"]
            for key in ("train", "test"):
                row[key][str(side)] = round(statistics.median(f[key] for f in found), 1)
        result["networks"][name] = row
        print(name, row, flush=True)
        path.write_text(json.dumps(result, indent=1) + "\n")


def levers(names: list[str], rounds: int) -> None:
    """Measure four networks in six ways, and write levers.json after each."""
    path = RESULTS / "levers.json"
    result = {"processor": processor(), "batch": BATCH, "images_per_second": {}}
    for name in names:
        found: dict[str, list[float]] = {way: [] for way in LEVERS}
        for _ in range(rounds):
            for way, change in LEVERS.items():
                found[way].append(round(in_a_process(name, 32, change)["train"], 1))
        result["images_per_second"][name] = found
        print(name, {way: round(ratio(found, way), 2) for way in LEVERS}, flush=True)
        path.write_text(json.dumps(result, indent=1) + "\n")
    for way in LEVERS:
        ratios = [ratio(found, way) for found in result["images_per_second"].values()]
        mean = math.prod(ratios) ** (1 / len(ratios))
        print(f"the course against {way}: {mean:.2f} times (geometric mean)")


def ratio(found: dict[str, list[float]], way: str) -> float:
    """How many times as fast the course's way is."""
    return statistics.median(found["course"]) / statistics.median(found[way])


def main() -> None:
    if sys.argv[1:2] == ["one"]:
        name, side, way = sys.argv[2:]
        print(json.dumps(measure(name, int(side), json.loads(way))))
        return
    from utils import lesson

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("speeds", "levers"))
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--rounds", type=int, default=2)
    args = parser.parse_args()
    if args.what == "speeds":
        speeds(args.names or lesson.notebooks(), args.rounds)
    else:
        four = ["08_senet", "10_mobilenet_v2", "13_shufflenet_v2", "14_efficientnet"]
        levers(args.names or four, args.rounds)


if __name__ == "__main__":
    main()
