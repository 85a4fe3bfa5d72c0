"""What do several kernels on one machine reach together? Run by hand, on an idle machine:

    .venv/bin/python tools/benchmarks/kernels.py [--kernels 6] [--cores 2] [--rounds 3]

A class on one server is many kernels on few cores. This program starts one process, and then
--kernels of them, all on the same --cores, and lets them train ResNet-20 on batches of 128 pictures
of 24 pixels a side. It prints the images per second of all together in each of these ways:

    default             as the course is
    COURSE_THREADS=1    one thread in each kernel: what TEACHING.md advises
    passive             OMP_WAIT_POLICY=passive: threads that have nothing to do sleep at once

All processes warm up first and start together. The ways run in turn, round by round, so that a
machine that slows down slows all of them; figures are medians over the rounds.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BATCH = 128
WAYS = {
    "default": {},
    "COURSE_THREADS=1": {"COURSE_THREADS": "1"},
    "passive": {"OMP_WAIT_POLICY": "passive"},
}


def train_for(seconds: float) -> None:
    """One kernel: say "ready", wait for a line, train so long, print the images per second."""
    sys.path.insert(0, str(ROOT))
    import torch

    from utils import config, lesson
    from utils.data import Batches, load_cifar10
    from utils.machinery.precision import autocast_dtype, memory_format
    from utils.train import parameter_groups, train_epoch

    torch.manual_seed(1)
    images = load_cifar10(run=config.RUN_SIZES["short"])[0].subset(torch.arange(2 * BATCH))
    loader = Batches(images, BATCH, shuffle=True, crop_padding=2, flip="alternating", resize=24)
    net = lesson.build("05_resnet").to(config.device)
    net.to(memory_format=memory_format(config.device, net))
    dtype = autocast_dtype(config.device, config.precision, net)
    groups = parameter_groups(net, 5e-4)
    optimizer = torch.optim.SGD(groups, lr=0.01, momentum=0.9, nesterov=True)
    criterion = torch.nn.CrossEntropyLoss(label_smoothing=0.1)

    train_epoch(net, loader, optimizer, criterion, dtype=dtype)
    print("ready", flush=True)
    sys.stdin.readline()
    start = time.perf_counter()
    trained = 0
    while time.perf_counter() - start < seconds:
        train_epoch(net, loader, optimizer, criterion, dtype=dtype)
        trained += len(images)
    print(trained / (time.perf_counter() - start), flush=True)


def start_kernel(way: dict[str, str], cores: int, seconds: float) -> subprocess.Popen:
    """A process of its own, on the first so many cores where the system can bind it to them."""
    env = {name: text for name, text in os.environ.items() if not name.startswith("OMP_")}
    env |= {"COURSE_RUN": "short", "COURSE_DEVICE": "cpu"} | way
    command = [sys.executable, __file__, "--worker", "--seconds", str(seconds)]
    bind = None
    if hasattr(os, "sched_setaffinity"):
        chosen = sorted(os.sched_getaffinity(0))[:cores]
        bind = lambda: os.sched_setaffinity(0, chosen)  # noqa: E731
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=env, preexec_fn=bind)


def together(kernels: int, way: dict[str, str], cores: int, seconds: float) -> float:
    """Images per second of so many kernels that train at once."""
    processes = [start_kernel(way, cores, seconds) for _ in range(kernels)]
    for process in processes:
        line = "not yet"
        while line and line.strip() != "ready":  # the course prints lines of its own before
            line = process.stdout.readline()
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    speeds = [float(process.stdout.readline()) for process in processes]
    for process in processes:
        process.wait()
    return sum(speeds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kernels", type=int, default=6)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20, help="of each measurement")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        train_for(args.seconds)
        return

    counts = (1, args.kernels)
    speeds: dict[tuple[int, str], list[float]] = {}
    for _ in range(args.rounds):
        for count in counts:
            for name, way in WAYS.items():
                speed = together(count, way, args.cores, args.seconds)
                speeds.setdefault((count, name), []).append(speed)
                print(f"    {count} at once, {name}: {speed:.1f}", flush=True)
    alone = statistics.median(speeds[1, "default"])
    print(f"ResNet-20 on {args.cores} cores, images/s of all together, {args.rounds} rounds:")
    for (count, name), values in speeds.items():
        middle = statistics.median(values)
        print(
            f"  {count} at once, {name:17}{middle:8.1f}   ({min(values):.1f} to {max(values):.1f})"
            f"   {middle / alone:.2f} of a lone kernel"
        )


if __name__ == "__main__":
    main()
