"""How fast do the networks train on this processor, and what does each lever bring? By hand, on an
idle machine:

    .venv/bin/python tools/benchmarks/cpu_speed.py speeds [NAME ...]    writes data/results/two_cores.json
    .venv/bin/python tools/benchmarks/cpu_speed.py levers [NAME ...]    writes data/results/levers.json

speeds: images a second of training steps and of testing, at each image size of the recipe, so that
README can tell the minutes of a run on two cores, wherever it was made. levers: the course's way
against the ordinary loop (a DataLoader with two workers and PIL transforms, float32, contiguous
maps, `.item()` in each step) at 32 x 32, and the course's way with one lever taken away each time.
Each figure is measured in a process of its own, in turn, round by round; figures are medians.
"""

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
BATCH = 128
LEVERS = {
    "ordinary": {"allocator": False, "channels_last": False, "auto": False, "batches": False},
    "course": {},
    "course without the allocator": {"allocator": False},
    "course without channels_last": {"channels_last": False},
    "course without bfloat16": {"auto": False},
    "course without Batches": {"batches": False},
}


def measure(job: dict) -> dict:
    """In a process of its own: images a second of one network, in one way."""
    from utils.machinery import hardware

    if not job.get("allocator", True):
        hardware.keep_large_blocks = lambda: None
    import torch
    from torch import nn

    from utils import config, lesson
    from utils.data import Batches, load_cifar10, load_mnist
    from utils.train import parameter_groups

    torch.manual_seed(1)
    net = lesson.build(job["name"]).train()
    grey = next(net.parameters()).shape[1] == 1
    images = (load_mnist if grey else load_cifar10)(run=config.RUN_SIZES["short"])[0]
    images = images.subset(torch.arange(BATCH * (job["steps"] + 2)))
    dtype = hardware.autocast_dtype(
        torch.device("cpu"), "auto" if job.get("auto", True) else "float32", net
    )
    layout = torch.channels_last if job.get("channels_last", True) else torch.contiguous_format
    net.to(memory_format=layout)
    if job.get("batches", True):
        side = job["side"] if job["side"] != images.images.shape[-1] else None
        loader = Batches(
            images, BATCH, shuffle=True, crop_padding=2, flip=True, resize=side, device="cpu"
        )
    else:
        from train_throughput import Pictures

        loader = torch.utils.data.DataLoader(Pictures(images), BATCH, shuffle=True, num_workers=2)
    optimizer = torch.optim.SGD(parameter_groups(net, 5e-4), lr=0.01, momentum=0.9, nesterov=True)
    criterion, times = nn.CrossEntropyLoss(label_smoothing=0.1), []
    for pictures, labels in loader:
        times.append(time.perf_counter())
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            loss = criterion(net(pictures.to(memory_format=layout)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()
    times.append(time.perf_counter())
    train = (
        BATCH * (len(times) - 3) / (times[-1] - times[2])
    )  # from the third step on, with the data work between
    net.eval()
    with torch.inference_mode(), torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        for batch in range(3):
            if batch == 1:  # the first one warms up
                start = time.perf_counter()
            net(pictures[:1].expand(250, -1, -1, -1).contiguous(memory_format=layout))
    test = 500 / (time.perf_counter() - start)
    return {"train": train, "test": test, "precision": str(dtype).removeprefix("torch.")}


def in_a_process(**job: object) -> dict:
    """The figures of one measurement, with as many threads as there are cores."""
    command = [sys.executable, __file__, "one", json.dumps(job)]
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"COURSE_DEVICE": "cpu"}
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def processor() -> str:
    """Its name, cores and instructions for bfloat16."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else ""
    names = [
        line.partition(":")[2].strip()
        for line in info.splitlines()
        if line.startswith("model name")
    ]
    kinds = [word for word in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if word in info]
    return (
        f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores, {', '.join(kinds)}"
    )


def speeds(names: list[str], rounds: int) -> None:
    path = ROOT / "data" / "results" / "two_cores.json"
    result = json.loads(path.read_text()) if path.is_file() else {"networks": {}}
    result["processor"] = processor()
    for name in names:
        sides = (
            (32, 48) if "mnist" in name else (32,) if name.startswith(("01", "21")) else (24, 32)
        )
        found = {
            s: [in_a_process(name=name, side=s, steps=4) for _ in range(rounds)] for s in sides
        }
        row = {"precision": found[sides[0]][0]["precision"]}
        for key in ("train", "test"):
            row[key] = {
                str(s): round(statistics.median(f[key] for f in found[s]), 1) for s in sides
            }
        result["networks"][name] = row
        print(name, row, flush=True)
        path.write_text(json.dumps(result, indent=1) + "\n")


def levers(names: list[str], rounds: int) -> None:
    path = ROOT / "data" / "results" / "levers.json"
    result = {"processor": processor(), "batch": BATCH, "images_per_second": {}}
    for name in names:
        found: dict[str, list[float]] = {way: [] for way in LEVERS}
        for _ in range(rounds):
            for way, without in LEVERS.items():
                found[way].append(in_a_process(name=name, side=32, steps=4, **without)["train"])
        result["images_per_second"][name] = {
            way: [round(v, 1) for v in values] for way, values in found.items()
        }
        middle = {way: statistics.median(values) for way, values in found.items()}
        print(
            name,
            {way: round(middle["course"] / value, 2) for way, value in middle.items()},
            flush=True,
        )
        path.write_text(json.dumps(result, indent=1) + "\n")
    for way in LEVERS:
        ratios = [
            statistics.median(ways["course"]) / statistics.median(ways[way])
            for ways in result["images_per_second"].values()
        ]
        print(
            f"the course against {way}: {math.prod(ratios) ** (1 / len(ratios)):.2f} times (geometric mean)"
        )


def main() -> None:
    if sys.argv[1:2] == ["one"]:
        print(json.dumps(measure(json.loads(sys.argv[2]))))
        return
    from utils import lesson

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("speeds", "levers"))
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--rounds", type=int, default=2)
    args = parser.parse_args()
    four = ["08_senet", "10_mobilenet_v2", "13_shufflenet_v2", "14_efficientnet"]
    known = lesson.notebooks() if args.what == "speeds" else four
    {"speeds": speeds, "levers": levers}[args.what](args.names or known, args.rounds)


if __name__ == "__main__":
    main()
