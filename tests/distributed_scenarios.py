"""What tests/test_distributed.py runs twice: in its own process, and in two that torchrun starts.

Each scenario is a function of a folder of its own that returns numbers and tensors; the two
processes write theirs to <rank>.pt in the folder that is the argument of this program.
"""

import contextlib
import io
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from utils.data import Batches, ImageSet
from utils.machinery import distributed
from utils.train import TrainingError, train

CPU = torch.device("cpu")


def make_set(count: int, seed: int) -> ImageSet:
    """Noise around one colour a class: easy to learn, and with crops no two images are the same."""
    labels = torch.arange(count) % 3
    colours = torch.rand(3, 3, 1, 1, generator=torch.Generator().manual_seed(99)) * 150
    noise = torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed)) * 105
    images = (colours[labels] + noise).to(torch.uint8)
    return ImageSet(images, labels, ("a", "b", "c"), "x", (0.5,) * 3, (0.25,) * 3)


def make_net(*extra: nn.Module) -> nn.Sequential:
    torch.manual_seed(3)
    end = nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 3)
    return nn.Sequential(nn.Conv2d(3, 8, 3), *extra, *end)


def run(net: nn.Module, images=96, epochs=4, seed=7, loader=None, **options: Any) -> dict[str, Any]:
    """Train a network in batches of 16; returns its history and weights."""
    torch.manual_seed(seed)
    augmented = {"shuffle": True, "crop_padding": 1, "flip": True, "cutout": 2, "device": CPU}
    loader = loader or Batches(make_set(images, 0), 16, **augmented)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    tests = Batches(make_set(37, 1), 9, device=CPU)
    options = {"verbose": False, "criterion": nn.CrossEntropyLoss(label_smoothing=0.1)} | options
    history = train(net, loader, tests, epochs, optimizer, device=CPU, **options)
    return {"history": history.as_lists(), "weights": net.state_dict()}


def no_norm(folder: Path) -> dict:
    return run(make_net())


def data_loader(folder: Path) -> dict:
    images = make_set(48, 0)
    dataset = TensorDataset(images.images / 255, images.labels)
    return run(make_net(), loader=DataLoader(dataset, 8, shuffle=True))


def norm(folder: Path) -> dict:
    return run(make_net(nn.BatchNorm2d(8)), images=99, epochs=6)  # the last batch has three images


def half(folder: Path) -> dict:
    return run(make_net(), epochs=2, save_path=folder / "checkpoint.pt")


def going_on(folder: Path) -> dict:
    """From the checkpoint of half(), in the folder beside."""
    return run(make_net(), save_path=folder.parent / "half" / "checkpoint.pt", resume=True)


def different_draws(folder: Path) -> dict:
    """Cells made other weights and drew other random numbers in each process."""
    net = make_net()
    with torch.no_grad():
        net[0].weight += distributed.rank()
    return run(net, seed=7 + distributed.rank())


def each_once(folder: Path) -> dict:
    """101 classes of one image each: the labels tell which images a process trained on."""
    seen = []

    def criterion(logits: Tensor, labels: Tensor) -> Tensor:
        seen.append(labels.tolist())
        return nn.functional.cross_entropy(logits, labels)

    torch.manual_seed(7)
    loader = DataLoader(
        TensorDataset(torch.rand(101, 3, 8, 8), torch.arange(101)), 16, shuffle=True
    )
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 101))
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    train(net, loader, loader, 2, optimizer, criterion, verbose=False, device=CPU)
    return {"seen": seen}


def files(folder: Path) -> dict:
    """What each process prints and writes."""
    path, printed = folder / str(distributed.rank()) / "checkpoint.pt", io.StringIO()
    with contextlib.redirect_stdout(printed):
        run(make_net(), epochs=2, verbose=True, save_path=path)
    return {"printed": printed.getvalue(), "written": path.exists()}


def idle_weights(folder: Path) -> dict:
    idle = nn.Linear(1, 1)
    idle.forward = lambda x: x  # its weights have no part
    try:
        return run(make_net(idle))
    except TrainingError as error:
        return {"error": str(error)}


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    distributed.start(CPU, minutes=1)
    found = {}
    for scenario in (
        no_norm,
        data_loader,
        norm,
        half,
        going_on,
        different_draws,
        each_once,
        files,
        idle_weights,
    ):
        (folder / scenario.__name__).mkdir(exist_ok=True)
        found[scenario.__name__] = scenario(folder / scenario.__name__)
    torch.save(found, folder / f"{distributed.rank()}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
