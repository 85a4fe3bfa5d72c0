"""What tests/test_distributed.py runs twice: in its own process, and in two that torchrun starts.

    torchrun --standalone --nproc-per-node=2 tests/distributed_scenarios.py FOLDER

Each scenario is a function of a folder of its own that returns numbers and tensors; the workers write theirs to
FOLDER/<rank>.pt.
"""

import contextlib
import io
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from utils import config, distributed
from utils.checkpoint import load_weights, save_weights
from utils.data import Batches, ImageSet
from utils.train import TrainingError, evaluate, train

CPU = torch.device("cpu")


def make_set(count: int, seed: int) -> ImageSet:
    """Noise around one colour a class: easy to learn, and with crops no two pictures are the same."""
    labels = torch.arange(count) % 3
    colours = torch.rand(3, 3, 1, 1, generator=torch.Generator().manual_seed(99)) * 150
    noise = torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed)) * 105
    return ImageSet(
        (colours[labels] + noise).to(torch.uint8), labels, ("a", "b", "c"), "x", (0.5,) * 3, (0.25,) * 3
    )


def plain_net(*extra: nn.Module) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        *extra,
        nn.Linear(32, 3),
    )


def norm_net() -> nn.Sequential:
    """The last batch norm sees one pixel an image, so it can do nothing with a single image."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Conv2d(8, 8, 1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8, 3),
    )


class Noise(nn.Module):
    """Dropout that can be read afterwards: keeps the mask of each call."""

    def __init__(self) -> None:
        super().__init__()
        self.masks: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        self.masks.append(torch.rand(x.shape) < 0.7)
        return x * self.masks[-1] / 0.7


class Writer:
    """In place of TensorBoard's: counts what it is given."""

    def __init__(self) -> None:
        self.calls = 0

    def add_scalar(self, *_: Any) -> None:
        self.calls += 1

    add_graph = flush = add_scalar


def run(
    net: nn.Module,
    images: int = 101,
    batch_size: int = 16,
    epochs: int = 4,
    test_images: int = 37,
    make_scheduler: Callable[..., Any] | None = None,
    loader: Any = None,
    **options: Any,
) -> dict[str, Any]:
    """Train a network from seed 7; returns the history and the weights."""
    torch.manual_seed(7)
    loader = loader or Batches(
        make_set(images, 0), batch_size, shuffle=True, crop_padding=1, flip=True, cutout=2, device=CPU
    )
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, nesterov=True)
    if make_scheduler:
        scheduler = make_scheduler(optimizer)
    else:
        steps = epochs * len(loader)
        scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.05, total_steps=steps)
    options = {
        "verbose": False,
        "device": CPU,
        "criterion": nn.CrossEntropyLoss(label_smoothing=0.1),
    } | options
    tests = Batches(make_set(test_images, 1), 9, device=CPU)
    history = train(net, loader, tests, epochs, optimizer, scheduler=scheduler, **options)
    return {"history": asdict(history), "weights": net.state_dict()}


def seeded(make: Callable[..., nn.Module], *arguments: Any) -> nn.Module:
    torch.manual_seed(3)
    return make(*arguments)


def no_norm(folder: Path) -> dict:
    return run(seeded(plain_net))


def last_batch_of_one(folder: Path) -> dict:
    return run(seeded(plain_net), images=33, test_images=19)  # both end in a batch of one image


def batches_of_one(folder: Path) -> dict:
    return run(seeded(plain_net), images=5, batch_size=1, test_images=1, epochs=2)


def plateau(folder: Path) -> dict:
    def make(optimizer):
        return torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, threshold=0.5)

    return run(seeded(plain_net), make_scheduler=make)


def data_loader(folder: Path) -> dict:
    images = make_set(50, 0)
    pairs = TensorDataset(images.images.float() / 255, images.labels)
    return run(seeded(plain_net), loader=DataLoader(pairs, 8, shuffle=True))


def bfloat16(folder: Path) -> dict:
    return run(seeded(plain_net), precision="bfloat16")


def norm(folder: Path) -> dict:
    return run(seeded(norm_net), images=99, batch_size=16, epochs=6)  # the last batch: three images


def sync_norm(folder: Path) -> dict:
    config.sync_batch_norm = True
    try:
        return run(seeded(norm_net), images=99, batch_size=16, epochs=6)
    finally:
        config.sync_batch_norm = False


def each_once(folder: Path) -> dict:
    """101 classes of one image each: the labels tell which images a process trained on."""
    images = make_set(101, 0)
    images = ImageSet(
        images.images, torch.arange(101), tuple(map(str, range(101))), "x", images.mean, images.std
    )
    seen = []

    def criterion(logits: Tensor, labels: Tensor) -> Tensor:
        if logits.requires_grad:  # and not in the test after the epoch
            seen.append(labels.tolist())
        return nn.functional.cross_entropy(logits, labels)

    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 101))
    loader = Batches(images, 16, shuffle=True, device=CPU)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    torch.manual_seed(7)
    train(net, loader, Batches(images, 101, device=CPU), 2, optimizer, criterion, verbose=False, device=CPU)
    return {"seen": seen}


def own_dropout(folder: Path) -> dict:
    noise = Noise()
    found = run(seeded(plain_net, noise), images=32)
    return found | {"masks": noise.masks, "after": torch.rand(3)}


def resumed_dropout(folder: Path) -> dict:
    """Stopped after two of four epochs; a new start goes on."""
    options = {"save_path": folder / "checkpoint.pt", "images": 32, "make_scheduler": no_scheduler}
    run(seeded(plain_net, Noise()), epochs=2, **options)
    return run(seeded(plain_net, Noise()), epochs=4, resume=True, **options)


def whole_dropout(folder: Path) -> dict:
    return run(seeded(plain_net, Noise()), images=32, make_scheduler=no_scheduler)


def no_scheduler(optimizer: torch.optim.Optimizer) -> None:
    """No scheduler: a checkpoint of two epochs can then go on to four."""


def files(folder: Path) -> dict:
    """What one process writes, prints and says to TensorBoard, and that a checkpoint has no other names."""
    mine = folder / str(distributed.rank())
    writer, printed, net = Writer(), io.StringIO(), seeded(norm_net)
    with contextlib.redirect_stdout(printed):
        run(net, epochs=2, verbose=True, writer=writer, save_path=mine / "checkpoint.pt")
    save_weights(net, mine / "weights.pt")
    loaded = norm_net()
    load_weights(loaded, mine / "weights.pt")
    again = evaluate(loaded, Batches(make_set(37, 1), 9, device=CPU), device=CPU)
    same = evaluate(net, Batches(make_set(37, 1), 9, device=CPU), device=CPU)
    return {
        "printed": printed.getvalue(),
        "calls": writer.calls,
        "checkpoint": (mine / "checkpoint.pt").exists(),
        "names": list(net.state_dict()),
        "same": torch.equal(again.probabilities, same.probabilities),
        "labels": same.labels,
        "probabilities": same.probabilities,
        "loss": same.loss,
    }


def from_one_process(folder: Path) -> dict:
    """Goes on from a checkpoint that the test's own process wrote after two epochs."""
    return run(
        seeded(plain_net), save_path=folder / "checkpoint.pt", resume=True, make_scheduler=no_scheduler
    )


def to_one_process(folder: Path) -> dict:
    return run(seeded(plain_net), save_path=folder / "checkpoint.pt", epochs=2, make_scheduler=no_scheduler)


class Idle(nn.Module):
    """Has weights that it does not use."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.unused = nn.Linear(192, 3), nn.Linear(192, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.used(x.flatten(1))


def idle_weights(folder: Path) -> dict:
    try:
        run(Idle(), epochs=1)
    except TrainingError as error:
        return {"error": str(error)}
    return {"error": ""}


def different_draws(folder: Path) -> dict:
    """A cell drew other random numbers in each process before training: rank 0's hold."""

    net = seeded(plain_net)
    optimizer = torch.optim.SGD(net.parameters(), 0.05)
    torch.manual_seed(7 + distributed.rank())
    loader = Batches(make_set(40, 0), 8, shuffle=True, flip=True, device=CPU)
    with torch.no_grad():
        net[0].weight += distributed.rank()  # and its weights differ
    tests = Batches(make_set(10, 1), 9, device=CPU)
    history = train(net, loader, tests, 2, optimizer, nn.CrossEntropyLoss(), verbose=False, device=CPU)
    return {"history": asdict(history), "weights": net.state_dict()}


SCENARIOS = (
    no_norm,
    last_batch_of_one,
    batches_of_one,
    plateau,
    data_loader,
    bfloat16,
    norm,
    sync_norm,
    each_once,
    own_dropout,
    resumed_dropout,
    whole_dropout,
    files,
    from_one_process,
    to_one_process,
    different_draws,
    idle_weights,
)


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    distributed.start(CPU, minutes=1)
    found = {}
    for scenario in SCENARIOS:
        (folder / scenario.__name__).mkdir(exist_ok=True)
        found[scenario.__name__] = scenario(folder / scenario.__name__)
    torch.save(found, folder / f"{distributed.rank()}.pt")
    distributed.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
