"""Kills a training with checkpoints 50 times at random moments (kill -9) and goes on.

Run by hand, on Linux or macOS:

    .venv/bin/python tools/benchmarks/kill_training.py [--kills 50]

After each kill the checkpoint has to load and to hold no fewer epochs than before; each training
that comes to its end has to have the numbers of one that was never stopped, bit for bit. Anything
else is an AssertionError.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from utils.data import Batches, ImageSet
from utils.machinery.checkpoint import load_weights, read_file
from utils.train import train

EPOCHS = 12


def make_net() -> nn.Sequential:
    head = nn.Sequential(
        nn.Flatten(), nn.Dropout(0.3), nn.Linear(64 * 64, 1000), nn.ReLU(), nn.Linear(1000, 3)
    )
    return nn.Sequential(nn.Conv2d(3, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), head)


def run(path: Path, outcome: Path) -> None:
    """Train to the end, from the checkpoint if there is one, and write what came out of it."""
    torch.manual_seed(7)
    images = torch.arange(40 * 192).view(40, 3, 8, 8) * 2654435761 // 4096 % 256
    labels = torch.arange(40) % 3
    noise = ImageSet(images.byte(), labels, ("a", "b", "c"), "noise", (0.5,) * 3, (0.25,) * 3)
    loader = Batches(noise, 8, shuffle=True, crop_padding=1, flip=True, cutout=3, device="cpu")
    net = make_net()
    optimizer = torch.optim.SGD(net.parameters(), 0.01, momentum=0.9, nesterov=True)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.01, total_steps=EPOCHS * len(loader)
    )
    parts = (net, loader, loader, EPOCHS, optimizer, nn.CrossEntropyLoss(), scheduler, path)
    history = train(*parts, verbose=False, resume=True, device="cpu")
    figures = [history.train_loss, history.test_loss, history.test_accuracy]
    weights = dict(net.state_dict())
    torch.save([weights, optimizer.state_dict(), figures, torch.get_rng_state()], outcome)


def start(*paths: Path) -> int:
    """Call run() in a child process; returns the number of that process."""
    child = os.fork()
    if child == 0:
        try:
            run(*paths)
            os._exit(0)
        finally:
            os._exit(1)
    return child


def epochs_in(path: Path) -> int:
    """How many epochs a checkpoint holds; it has to load."""
    load_weights(make_net(), path)
    return len(read_file(path)["history"]["train_loss"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    folder = Path(tempfile.mkdtemp(prefix="kill-training-"))
    rng = random.Random(0)
    path = folder / "checkpoint.pt"
    outcome = folder / "outcome.pt"
    expected = folder / "expected.pt"
    begin = time.monotonic()
    assert os.waitpid(start(path, expected), 0)[1] == 0
    seconds = time.monotonic() - begin
    path.unlink()
    kills = 0
    finished = 0
    epochs = 0
    while kills < arguments.kills or path.exists():  # the last training may come to its end
        child = start(path, outcome)
        if kills < arguments.kills:
            time.sleep(rng.uniform(0, 0.8 * seconds))
            os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        if status == signal.SIGKILL:
            kills += 1
            if path.exists():
                before = epochs
                epochs = epochs_in(path)
                assert epochs >= before, "an older checkpoint came back"
            continue
        assert status == 0, "the training failed"
        found = torch.load(outcome, weights_only=True)
        wanted = torch.load(expected, weights_only=True)
        torch.testing.assert_close(found, wanted, rtol=0, atol=0)
        finished += 1
        epochs = 0
        path.unlink()
    left = len(list(folder.glob(".*.tmp")))
    print(f"{kills} kills, {left} of them while it wrote;")
    print(f"{finished} trainings ended as if they had never been stopped.")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
