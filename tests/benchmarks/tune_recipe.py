"""What does each part of the recipe bring? Trains one network many times, with one thing changed each time:

    .venv/bin/python tests/benchmarks/tune_recipe.py 13_shufflenet_v2 [--images 10000] [--epochs 5]

The accuracies are those on 5,000 training images that are held out; the test set is never looked at. The first recipe
runs with two seeds: how far these differ is how far the rest can be trusted. Writes data/results/recipe_<notebook>.json,
which the notebook prints; runs whose figures are in it already are not made again. Real CIFAR-10 only.
"""

import argparse
import json
import platform
import sys
from pathlib import Path

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from utils import config, results
from utils.data import Batches, balanced_indices, load_cifar10
from utils.lesson import networks
from utils.train import evaluate, parameter_groups, train

NETWORKS = results.NETWORKS | {
    "13_shufflenet_v2": lambda: networks("13_shufflenet_v2").ShuffleNetV2(
        classes=10, width=0.5
    ),  # quick to train
}
del NETWORKS["15_efficientnet_mnist"]
RECIPE = {
    "batch_size": 32,
    "peak": 0.05,  # of the learning rate
    "weight_decay": 5e-4,
    "decay_all": False,
    "smoothing": 0.1,
    "warm_up": 0.2,  # share of the steps
    "crop_padding": 4,
    "cutout": 0,
    "seed": 1,
}
CHANGES = {
    "the recipe of the course": {},
    "the same with another seed": {"seed": 2},
    "peak learning rate 0.02": {"peak": 0.02},
    "peak learning rate 0.1": {"peak": 0.1},
    "batches of 64": {"batch_size": 64},
    "weight decay 0.00005": {"weight_decay": 5e-5},
    "weight decay on norms and biases, too": {"decay_all": True},
    "no label smoothing": {"smoothing": 0.0},
    "warm-up in a twentieth of the steps": {"warm_up": 0.05},
    "cutout of 8 pixels": {"cutout": 8},
}
AVERAGED = "averaged weights (decay 0.99)"


def run(notebook: str, train_set, held_out, epochs: int, recipe: dict) -> tuple[float, float]:
    """Accuracy on the held-out images after the last epoch: with the weights as they are, and with averaged ones."""
    torch.manual_seed(recipe["seed"])
    net = NETWORKS[notebook]().to(config.device)
    loader = Batches(
        train_set,
        recipe["batch_size"],
        shuffle=True,
        crop_padding=recipe["crop_padding"],
        flip=True,
        cutout=recipe["cutout"],
    )
    test_loader = Batches(held_out, batch_size=250)
    groups = parameter_groups(net, recipe["weight_decay"])
    if recipe["decay_all"]:
        groups = [{"params": list(net.parameters()), "weight_decay": recipe["weight_decay"]}]
    optimizer = torch.optim.SGD(groups, lr=recipe["peak"], momentum=0.9, nesterov=True)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe["peak"], total_steps=epochs * len(loader), pct_start=recipe["warm_up"]
    )
    averaged = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.99), use_buffers=True)
    optimizer.register_step_post_hook(lambda *_: averaged.update_parameters(net))
    criterion = nn.CrossEntropyLoss(label_smoothing=recipe["smoothing"])
    history = train(net, loader, test_loader, epochs, optimizer, criterion, scheduler)
    return history.test_accuracy[-1], evaluate(averaged.module, test_loader).accuracy


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("notebook", choices=NETWORKS)
    parser.add_argument("--images", type=int, default=10_000, help="training images, of 45,000")
    parser.add_argument("--epochs", type=int, default=5)
    arguments = parser.parse_args()

    path = config.root / "data" / "results" / f"recipe_{arguments.notebook}.json"
    record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    train_set, held_out = load_cifar10(validation=5000)
    if train_set.name != "CIFAR-10" or len(train_set) < arguments.images:
        sys.exit(
            "This needs the real CIFAR-10: set COURSE_RUN=full, and COURSE_DATA_DIR to the folder where it is."
        )
    setting = {
        "network": NETWORKS[arguments.notebook]().__class__.__name__,
        "training_images": arguments.images,
        "held_out_images": len(held_out),
        "epochs": arguments.epochs,
        "device": config.device_name(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "recipe": RECIPE,
    }
    accuracies = record.get("held_out_accuracy", {}) if record.get("setting") == setting else {}
    train_set = train_set.subset(balanced_indices(train_set.labels, arguments.images))
    for name, change in CHANGES.items():
        if name not in accuracies:
            print(name, flush=True)
            accuracies[name], averaged = run(
                arguments.notebook, train_set, held_out, arguments.epochs, RECIPE | change
            )
            if not change:
                accuracies[AVERAGED] = averaged
            record = {"setting": setting, "held_out_accuracy": accuracies}
            path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    for name, accuracy in accuracies.items():
        print(f"{accuracy:7.2%}  {name}")


if __name__ == "__main__":
    main()
