"""Bytes of gradients a step against the time of a step, for each network of the course. Run by hand:

    .venv/bin/python tests/benchmarks/gradient_bytes.py [--speed 08_senet=28 ...] [--link 125 1250]

After each step, N processes average their gradients, float32. In a ring, each sends and receives 2 (N - 1) / N times
their bytes, whatever N is, while its share of the computing shrinks to 1 / N. So

    speed-up = T / (T / N + 2 (N - 1) / N * bytes / link)

with T the time of a step in one process and `link` the bytes per second between two processes. This takes nothing
off for the part of the sending that DistributedDataParallel does while the backward pass still runs, and nothing on
for the start of each message, so it is an estimate.

--speed: images per second of one process, as train() prints them; measured here (a minute or two) for the networks
that are not given.  --link: megabytes per second, one or more.
"""

import argparse
import statistics
import sys
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from utils import config
from utils.data import Batches, ImageSet
from utils.lesson import networks
from utils.train import parameter_groups, train

NETWORKS = {
    "08_senet": ("SENet-18", lambda notebook: notebook.SENet(classes=10)),
    "10_mobilenet_v2": ("MobileNet v2", lambda notebook: notebook.MobileNetV2(classes=10)),
    "13_shufflenet_v2_x0.5": (
        "ShuffleNet v2 x0.5",
        lambda notebook: notebook.ShuffleNetV2(classes=10, width=0.5),
    ),
    "13_shufflenet_v2": ("ShuffleNet v2 x1.0", lambda notebook: notebook.ShuffleNetV2(classes=10, width=1.0)),
    "14_efficientnet": ("EfficientNet-B0", lambda notebook: notebook.efficientnet("b0", classes=10)),
}


def measure(net: nn.Module, batch_size: int) -> float:
    """Images per second of train(): the median of three epochs after one that warms up."""
    count = 5 * batch_size
    pictures = torch.randint(256, (count, 3, 32, 32), dtype=torch.uint8)
    image_set = ImageSet(
        pictures, torch.arange(count) % 10, tuple("abcdefghij"), "noise", (0.5,) * 3, (0.25,) * 3
    )
    loader = Batches(image_set, batch_size, shuffle=True, crop_padding=4, flip=True)
    optimizer = torch.optim.SGD(parameter_groups(net, 5e-4), lr=0.01, momentum=0.9, nesterov=True)
    tests = Batches(image_set.subset(torch.arange(10)), 10)
    history = train(net, loader, tests, 4, optimizer, nn.CrossEntropyLoss(), verbose=False)
    return statistics.median(history.images_per_second[1:])


def speed_up(processes: int, seconds: float, size: float, link: float) -> float:
    """How many times as fast as one process; `size` in bytes, `link` in bytes per second."""
    return seconds / (seconds / processes + 2 * (processes - 1) / processes * size / link)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--speed", action="append", default=[], metavar="NETWORK=IMAGES_PER_SECOND")
    parser.add_argument("--link", type=float, nargs="+", default=[125, 1250], metavar="MB_PER_SECOND")
    parser.add_argument("--processes", type=int, nargs="+", default=[2, 8])
    parser.add_argument("--batch-size", type=int, default=32 if config.device.type == "cpu" else 64)
    args = parser.parse_args()
    given = {name: float(value) for name, value in (text.split("=") for text in args.speed)}
    if unknown := given.keys() - NETWORKS.keys():
        parser.error(f"There is no network {min(unknown)}: give one of {', '.join(NETWORKS)}.")

    columns = [(link, n) for link in args.link for n in args.processes]
    heads = "".join(f" | {n} at {link:g} MB/s" for link, n in columns)
    print(f"| network | parameters | MB of gradients | ms a step of {args.batch_size}{heads} |")
    print("|---|" + "---:|" * (3 + len(columns)))
    for key, (name, make) in NETWORKS.items():
        net = make(networks(key.removesuffix("_x0.5")))
        parameters = sum(p.numel() for p in net.parameters() if p.requires_grad)
        seconds = args.batch_size / (given.get(key) or measure(net, args.batch_size))
        size = 4 * parameters
        ups = "".join(f" | {speed_up(n, seconds, size, 1e6 * link):.2f}" for link, n in columns)
        print(f"| {name} | {parameters:,} | {size / 1e6:.1f} | {1000 * seconds:,.0f}{ups} |", flush=True)


if __name__ == "__main__":
    main()
