"""How busy does train() keep the processor? Run by hand, on a machine that does nothing else:

    .venv/bin/python tools/benchmarks/train_throughput.py [--rounds 5] [--images 640] [--notebook 10_mobilenet_v2]

Prints images per second of train(), and of two other ways to train the same network:

    in place   steps on one batch that stays where it is, with no data work at all: the most that is possible
    ordinary   a DataLoader with PIL transforms and two workers, default memory format, `.item()` in each step

All three run in turn, round by round, so that a machine that slows down slows all of them; the
ratios are medians over the rounds. Each way trains a network of its own from the same weights.
"""

import argparse
import copy
import statistics
import sys
import time
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.transforms.functional import to_pil_image

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from utils import config, lesson
from utils.data import Batches, ImageSet, load_cifar10, load_mnist
from utils.train import parameter_groups, train


class Pictures(Dataset):
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


def synchronise() -> None:
    if config.device.type == "cuda":
        torch.cuda.synchronize()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=640)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--notebook", choices=lesson.notebooks(), default="10_mobilenet_v2")
    args = parser.parse_args()

    net = lesson.build(args.notebook)
    grey = next(net.parameters()).shape[1] == 1
    train_set, test_set = load_mnist() if grey else load_cifar10()
    train_set = train_set.subset(torch.arange(args.images) % len(train_set))
    test_set = test_set.subset(torch.arange(10))
    criterion = nn.CrossEntropyLoss()

    course_net, place_net, plain_net = (copy.deepcopy(net) for _ in range(3))
    course_optimizer = make_optimizer(course_net)
    batches = Batches(train_set, args.batch_size, shuffle=True, crop_padding=4, flip=True)
    test_batches = Batches(test_set, args.batch_size)
    place_net.to(config.device, memory_format=torch.channels_last).train()
    place_optimizer = make_optimizer(place_net)
    images, labels = next(iter(batches))
    images = images.contiguous(memory_format=torch.channels_last)
    plain_net.to(config.device).train()
    plain_optimizer = make_optimizer(plain_net)
    plain_loader = DataLoader(
        Pictures(train_set), args.batch_size, shuffle=True, num_workers=2, persistent_workers=True
    )

    def with_train() -> float:
        history = train(
            course_net,
            batches,
            test_batches,
            1,
            course_optimizer,
            criterion,
            verbose=False,
            precision="float32",
        )
        return history.images_per_second[0]

    def in_place() -> float:
        synchronise()
        start = time.perf_counter()
        for _ in range(len(batches)):
            loss = criterion(place_net(images), labels)
            place_optimizer.zero_grad()
            loss.backward()
            place_optimizer.step()
        synchronise()
        return len(batches) * len(images) / (time.perf_counter() - start)

    def ordinary() -> float:
        start = time.perf_counter()
        total = 0.0
        for pictures, targets in plain_loader:
            pictures, targets = pictures.to(config.device), targets.to(config.device)
            loss = criterion(plain_net(pictures), targets)
            plain_optimizer.zero_grad()
            loss.backward()
            plain_optimizer.step()
            total += loss.item()
        return args.images / (time.perf_counter() - start)

    ways = {"train()": with_train, "in place": in_place, "ordinary": ordinary}
    for way in ways.values():
        way()  # warm-up
    speeds = {name: [] for name in ways}
    for _ in range(args.rounds):
        for name, way in ways.items():
            speeds[name].append(way())
    print(
        f"{args.notebook} on {config.device_name(config.device)}, batches of {args.batch_size}, {args.rounds} rounds"
    )
    for name, values in speeds.items():
        low, middle, high = min(values), statistics.median(values), max(values)
        print(f"  {name:9}{middle:8.1f} images/s   ({low:.1f} to {high:.1f})")
    for name, wanted in (("in place", 0.95), ("ordinary", 1.25)):
        ratios = [a / b for a, b in zip(speeds["train()"], speeds[name], strict=True)]
        print(f"  train() / {name}: median {statistics.median(ratios):.3f}   (to reach: {wanted})")


if __name__ == "__main__":
    main()
