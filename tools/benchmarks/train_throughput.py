"""How busy does train() keep the processor? Run by hand, on a machine that does nothing else:

    .venv/bin/python tools/benchmarks/train_throughput.py [--rounds 5] [--images 640]

Prints images per second of train(), and of two other ways to train the same network:

    in place   steps on one batch that stays where it is, with no data work: the most possible
    ordinary   a DataLoader with PIL transforms and two workers, `.item()` in each step

All three run in turn, round by round, so that a machine that slows down slows all of them; the
ratios are medians over the rounds. Each way trains a network of its own from the same weights.
--notebook names another network than that of 10_mobilenet_v2.
"""

import argparse
import copy
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.transforms.functional import to_pil_image

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from utils import config, lesson
from utils.data import Batches, ImageSet, load_cifar10, load_mnist
from utils.machinery.precision import device_name
from utils.train import parameter_groups, train

WANTED = {"in place": 0.95, "ordinary": 1.25}  # times their speed: what train() should reach


class Pictures(Dataset):
    """An ImageSet as PIL pictures with torchvision's transforms, one picture at a time."""

    def __init__(self, image_set: ImageSet):
        self.pictures = [to_pil_image(image) for image in image_set.images]
        self.labels = image_set.labels.tolist()
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(image_set.images.shape[-1], padding=4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(image_set.mean, image_set.std),
            ]
        )

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        return self.transform(self.pictures[i]), self.labels[i]


def make_optimizer(net: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameter_groups(net, 5e-4), lr=0.01, momentum=0.9, nesterov=True)


def step(net: nn.Module, images, labels, optimizer: torch.optim.Optimizer) -> torch.Tensor:
    """One step of plain PyTorch; returns the loss."""
    loss = nn.functional.cross_entropy(net(images), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


def synchronise() -> None:
    if config.device.type == "cuda":
        torch.cuda.synchronize()


def course_way(net: nn.Module, batches: Batches, tests: Batches) -> Callable[[], float]:
    """Images a second of an epoch of train()."""
    net.to(config.device)
    optimizer = make_optimizer(net)
    criterion = nn.CrossEntropyLoss()
    options = {"verbose": False, "precision": "float32"}

    def epoch() -> float:
        history = train(net, batches, tests, 1, optimizer, criterion, **options)
        return history.images_per_second[0]

    return epoch


def in_place_way(net: nn.Module, batches: Batches) -> Callable[[], float]:
    """Images a second of an epoch of steps on the same batch."""
    net.to(config.device, memory_format=torch.channels_last).train()
    optimizer = make_optimizer(net)
    images, labels = next(iter(batches))
    images = images.contiguous(memory_format=torch.channels_last)

    def epoch() -> float:
        synchronise()
        start = time.perf_counter()
        for _ in range(len(batches)):
            step(net, images, labels, optimizer)
        synchronise()
        return len(batches) * len(images) / (time.perf_counter() - start)

    return epoch


def ordinary_way(net: nn.Module, image_set: ImageSet, batch_size: int) -> Callable[[], float]:
    """Images a second of an epoch of the ordinary loop."""
    net.to(config.device).train()
    optimizer = make_optimizer(net)
    workers = {"num_workers": 2, "persistent_workers": True}
    loader = DataLoader(Pictures(image_set), batch_size, shuffle=True, **workers)

    def epoch() -> float:
        start = time.perf_counter()
        total = 0.0
        for images, labels in loader:
            loss = step(net, images.to(config.device), labels.to(config.device), optimizer)
            total += loss.item()
        return len(image_set) / (time.perf_counter() - start)

    return epoch


def make_ways(args: argparse.Namespace) -> dict[str, Callable[[], float]]:
    """The three ways, each with a copy of the same network."""
    net = lesson.build(args.notebook)
    grey = next(net.parameters()).shape[1] == 1
    train_set, test_set = load_mnist() if grey else load_cifar10()
    train_set = train_set.subset(torch.arange(args.images) % len(train_set))
    batches = Batches(train_set, args.batch_size, shuffle=True, crop_padding=4, flip=True)
    tests = Batches(test_set.subset(torch.arange(10)), args.batch_size)
    return {
        "train()": course_way(copy.deepcopy(net), batches, tests),
        "in place": in_place_way(copy.deepcopy(net), batches),
        "ordinary": ordinary_way(copy.deepcopy(net), train_set, args.batch_size),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=640)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--notebook", choices=lesson.notebooks(), default="10_mobilenet_v2")
    args = parser.parse_args()

    ways = make_ways(args)
    for way in ways.values():
        way()  # warm-up
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(args.rounds):
        for name, way in ways.items():
            speeds[name].append(way())
    print(f"{args.notebook} on {device_name(config.device)}, batches of {args.batch_size}")
    for name, values in speeds.items():
        middle = statistics.median(values)
        print(f"  {name:9}{middle:8.1f} images/s   ({min(values):.1f} to {max(values):.1f})")
    for name, wanted in WANTED.items():
        ratios = [a / b for a, b in zip(speeds["train()"], speeds[name], strict=True)]
        print(f"  train() / {name}: median {statistics.median(ratios):.3f}   (to reach: {wanted})")


if __name__ == "__main__":
    main()
