"""Do kernels that share a folder spoil each other's files? Run by hand, on any machine:

    .venv/bin/python tools/benchmarks/three_writers.py [--writers 3] [--checkpoints 150]

Each process writes its checkpoints, one after another, to the same path, and reads what lies there
after each. It prints how many writes failed and how many files could not be read: both have to be
0. The exit status is 1 if they are not.
"""

import argparse
import multiprocessing
import sys
import tempfile
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from utils.machinery.checkpoint import CheckpointError, read_file, write_file


def write_often(path: Path, writer: int, checkpoints: int, counts) -> None:
    """Write and read in turn; adds (failed writes, unreadable files) to the queue `counts`."""
    failed = 0
    unreadable = 0
    weights = torch.full((500, 1_000), float(writer))
    for epoch in range(checkpoints):
        try:
            write_file({"net": {"weights": weights}, "epoch": epoch}, path)
        except CheckpointError as error:
            failed += 1
            print(error)
        try:
            found = read_file(path)["net"]["weights"]
            if found.unique().numel() != 1:
                unreadable += 1  # of two writers
        except CheckpointError as error:
            unreadable += 1
            print(error)
    counts.put((failed, unreadable))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--writers", type=int, default=3)
    parser.add_argument("--checkpoints", type=int, default=150)
    args = parser.parse_args()
    start = multiprocessing.get_context("spawn")
    counts = start.Queue()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint.pt"
        processes = []
        for writer in range(args.writers):
            arguments = (path, writer, args.checkpoints, counts)
            processes.append(start.Process(target=write_often, args=arguments))
        for process in processes:
            process.start()
        results = [counts.get() for _ in processes]
        for process in processes:
            process.join()
        left = [file.name for file in Path(folder).iterdir() if file != path]
    failed = sum(result[0] for result in results)
    unreadable = sum(result[1] for result in results)
    total = args.writers * args.checkpoints
    print(f"{total} checkpoints of {args.writers} processes in one folder:")
    print(f"{failed} failed writes, {unreadable} unreadable files, left over: {left or 'nothing'}")
    return 1 if failed or unreadable or left else 0


if __name__ == "__main__":
    sys.exit(main())
