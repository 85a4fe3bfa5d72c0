"""What do two processes bring? Run by hand, on a machine that does nothing else:

    .venv/bin/python tools/benchmarks/distributed_throughput.py [--rounds 5] [--notebook NAME]

Prints images per second of train() in one process and in --processes of them, with one thread each,
and in one process with as many threads: on a CPU, threads are the other way to use a second core.
The global batch is the same for all. The ways run in turn, round by round, so that a machine that
slows down slows all of them; the ratios are medians over the rounds. On GPUs each process has its
own, and the row of the threads says nothing.
"""

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from utils import config, lesson
from utils.data import Batches, ImageSet
from utils.machinery import distributed
from utils.train import parameter_groups, train


def speed(notebook: str, images: int, batch_size: int) -> None:
    """Print the images per second of all processes together; the first epoch warms up."""
    distributed.start(config.device)
    torch.manual_seed(1)
    net = lesson.build(notebook).to(config.device)
    channels = next(net.parameters()).shape[1]
    pixels = torch.randint(256, (images, channels, 32, 32), dtype=torch.uint8)
    labels = torch.arange(images) % 10
    mean = (0.5,) * channels
    std = (0.25,) * channels
    image_set = ImageSet(pixels, labels, tuple("abcdefghij"), "noise", mean, std)
    loader = Batches(image_set, batch_size, shuffle=True, crop_padding=4, flip=True)
    tests = Batches(image_set.subset(torch.arange(10)), 10)
    optimizer = torch.optim.SGD(parameter_groups(net, 5e-4), lr=0.01, momentum=0.9, nesterov=True)
    history = train(net, loader, tests, 2, optimizer, nn.CrossEntropyLoss(), verbose=False)
    if distributed.is_main():
        print("images per second", history.images_per_second[-1])
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def start(processes: int, threads: int, args: argparse.Namespace) -> float:
    """Images a second of so many processes, each with so many threads."""
    command = [sys.executable]
    if processes > 1:
        command += ["-m", "torch.distributed.run", "--standalone"]
        command += [f"--nproc-per-node={processes}"]
    command += [__file__, "--worker"]
    command += [
        f"--notebook={args.notebook}",
        f"--images={args.images}",
        f"--batch-size={args.batch_size}",
    ]
    done = subprocess.run(
        command,
        env=os.environ | {"OMP_NUM_THREADS": str(threads)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(done.stdout.split("images per second")[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=1280, help="in an epoch")
    parser.add_argument("--batch-size", type=int, default=32, help="of all processes together")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--notebook", choices=lesson.notebooks(), default="10_mobilenet_v2")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        speed(args.notebook, args.images, args.batch_size)
        return

    n = args.processes
    ways = {
        "1 process, 1 thread": (1, 1),
        f"{n} processes, 1 thread each": (n, 1),
        f"1 process, {n} threads": (1, n),
    }
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(args.rounds):
        for name, (processes, threads) in ways.items():
            speeds[name].append(start(processes, threads, args))
    base = speeds["1 process, 1 thread"]
    print(f"{args.notebook}, batches of {args.batch_size}, {args.rounds} rounds")
    for name, values in speeds.items():
        middle = statistics.median(values)
        ratio = statistics.median(a / b for a, b in zip(values, base, strict=True))
        print(
            f"  {name:27}{middle:8.1f} images/s   ({min(values):.1f} to {max(values):.1f})"
            f"   {ratio:.2f} times the first"
        )


if __name__ == "__main__":
    main()
