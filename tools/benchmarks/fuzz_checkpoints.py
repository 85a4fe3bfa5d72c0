"""Feeds damaged files to load_weights() and to train(resume=True), and counts what comes of it.

Run by hand:

    .venv/bin/python tools/benchmarks/fuzz_checkpoints.py [--files 20000] [--seed 0]

Every file has to end in a CheckpointError that leaves the network as it was, or in a right load: of
torch.save's files, which have checksums, the weights that were saved; of a safetensors file, which
has none, the numbers that stand in it. Anything else stops the program with exit status 1 and
leaves the file where it says.
"""

import argparse
import json
import random
import shutil
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from utils.machinery.checkpoint import CheckpointError, load_weights, save_weights
from utils.train import train


def make_net() -> nn.Sequential:
    pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), pool, nn.Linear(4, 3))


def resume(net: nn.Module, path: Path) -> None:
    batches = [(torch.ones(2, 3, 4, 4), torch.tensor([0, 2]))]
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=3)
    options = {"verbose": False, "resume": True, "device": "cpu"}
    train(net, batches, batches, 3, optimizer, nn.CrossEntropyLoss(), scheduler, path, **options)


def damage(content: bytes, rng: random.Random) -> bytes:
    """Change, lose, double or move some bytes, as disks and connections do."""
    data = bytearray(content)
    end = rng.choice((len(data), 1000))  # often in the header
    place, length = rng.randrange(end), rng.choice((1, 2, 4, 16, 64, 512))
    piece = data[place : place + length]
    kind = rng.randrange(8)
    if kind < 3:
        for _ in range(rng.choice((1, 1, 1, 2, 8))):
            data[rng.randrange(end)] ^= 1 << rng.randrange(8)
    elif kind == 3:
        data[place : place + length] = rng.randbytes(len(piece))
    elif kind == 4:
        del data[place:]
    elif kind == 5:
        del data[place : place + length]
    elif kind == 6:
        data[place:place] = piece
    else:
        target = rng.randrange(len(data))
        data[target : target + len(piece)] = piece
    return bytes(data)


def numbers(weights: dict[str, torch.Tensor]) -> dict[str, bytes]:
    return {name: tensor.contiguous().numpy().tobytes() for name, tensor in weights.items()}


def stands_in(content: bytes) -> dict[str, bytes]:
    """The numbers in a safetensors file: 8 bytes of header's length, header, numbers."""
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header.pop("__metadata__", None)
    found = {}
    for name, about in header.items():
        first, last = about["data_offsets"]
        found[name] = content[start + first : start + last]
    return found


def judge(
    use: Callable[[nn.Module, Path], None], net: nn.Module, path: Path, expected: dict[str, bytes]
) -> tuple[str, str]:
    """What became of a damaged file, and what is wrong with that; "" if nothing is.

    expected: the numbers that a right load gives; of a safetensors file, those that stand in it.
    """
    before = numbers(net.state_dict())
    try:
        use(net, path)
    except CheckpointError:
        changed = numbers(net.state_dict()) != before
        return "refused", "refused, but the network was changed" if changed else ""
    except Exception as error:
        return "failed", f"{type(error).__name__}: {error}"
    if path.suffix == ".safetensors":
        expected = stands_in(path.read_bytes())
    right = numbers(net.state_dict()) == expected
    return "loaded", "" if right else "wrong weights"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # torch.load() warns of some odd files before it refuses them
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    rng = random.Random(arguments.seed)
    counts: Counter = Counter()
    saved = make_net()
    trained = make_net()
    net = make_net()
    save_weights(saved, folder / "weights.safetensors")
    torch.save(saved.state_dict(), folder / "weights.pt")
    resume(trained, folder / "checkpoint.pt")
    ways = [("weights.safetensors", load_weights), ("weights.pt", load_weights)]
    ways += [("checkpoint.pt", load_weights), ("checkpoint.pt", resume)]
    good = {name: (folder / name).read_bytes() for name, _ in ways}
    for number in range(arguments.files):
        name, use = rng.choice(ways)
        path = folder / f"changed {name}"
        changed = damage(good[name], rng)
        path.write_bytes(changed)
        source = trained if name == "checkpoint.pt" else saved
        expected = numbers(source.state_dict())
        outcome, fault = judge(use, net, path, expected)
        counts[f"{use.__name__} {name}", outcome] += 1
        if fault:
            sys.exit(f"File {number} of seed {arguments.seed}, {use.__name__} {path}: {fault}")
    for (way, outcome), count in sorted(counts.items()):
        print(f"{way:40} {outcome:8} {count:7,}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
