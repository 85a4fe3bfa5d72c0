"""Feeds damaged and strange files to load_weights() and to train(resume=True), and counts what becomes of them.

    python tests/benchmarks/fuzz_checkpoints.py [number of files, 20000 unless told] [seed]

Every file has to end in a CheckpointError that leaves the network as it was, or in a right load: of a damaged file
the weights that were saved, of a strange one what plain torch.load() reads in it. Anything else stops the program
with exit status 1 and leaves the file where it says. For Linux and macOS.
"""

import io
import random
import resource
import sys
import tempfile
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from utils.checkpoint import CheckpointError, load_weights, save_weights  # noqa: E402
from utils.train import train  # noqa: E402

MAX_SECONDS, MAX_GIB = 5.0, 0.5  # for one file

Files = dict[str, bytes]  # what is in an archive


def make_net() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    )


def run(net: nn.Module, path: Path, epochs: int, resume: bool) -> None:
    batches = [(torch.ones(2, 3, 4, 4), torch.tensor([0, 2]))]
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=epochs)
    train(
        net, batches, batches, epochs, optimizer, nn.CrossEntropyLoss(), scheduler, path,
        verbose=False, resume=resume, device="cpu",
    )  # fmt: skip


# --- damage: what disks and connections do to the bytes of a file --------------------------------------------


def damage(content: bytes, rng: random.Random) -> bytes:
    """Change, lose, double or move some bytes."""
    data = bytearray(content)
    place, length = rng.randrange(len(data)), rng.choice((1, 2, 4, 16, 64, 512))
    piece = data[place : place + length]
    kind = rng.randrange(9)
    if kind < 3:
        for _ in range(rng.choice((1, 1, 1, 2, 8))):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind == 3:
        data[place : place + length] = rng.randbytes(len(piece))
    elif kind == 4:
        data[place : place + length] = bytes(len(piece))
    elif kind == 5:
        del data[place:]
    elif kind == 6:
        del data[place : place + length]
    elif kind == 7:
        data[place:place] = piece
    else:
        target = rng.randrange(len(data))
        data[target : target + len(piece)] = piece
    return bytes(data)


# --- strange files: right checksums around wrong contents ----------------------------------------------------


def unpack(content: bytes) -> Files:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(files: Files, rng: random.Random) -> bytes:
    buffer = io.BytesIO()
    compression = zipfile.ZIP_DEFLATED if rng.random() < 0.05 else zipfile.ZIP_STORED
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
            if data and rng.random() < 0.01:
                archive.writestr(name, damage(data, rng))  # twice, the second time another one
    return buffer.getvalue()


def strange_pickle(content: bytes, rng: random.Random) -> bytes:
    files = unpack(content)
    name = next(name for name in files if name.endswith("data.pkl"))
    data = bytearray(files[name])
    for _ in range(rng.choice((1, 1, 2, 4))):
        place = rng.randrange(len(data))
        kind = rng.randrange(6)
        if kind == 0:
            data[place] = rng.randrange(256)
        elif kind == 1:  # another opcode
            data[place] = rng.choice(b"().0NRQ}]abcehjqrstuXKJMG\x80\x81\x85\x86\x87\x88\x89\x8a\x8b")
        elif kind == 2:  # another number
            number = rng.choice((0, 1, 3, 2**16, 2**30, 2**31 - 1, -1, -(2**31)))
            data[place : place + 2] = b"J" + (number % 2**32).to_bytes(4, "little")
        elif kind == 3:  # another type
            types = [
                t
                for t in (b"FloatStorage", b"LongStorage", b"_rebuild_tensor_v2", b"OrderedDict")
                if t in data
            ]
            others = (
                b"HalfStorage",
                b"DoubleStorage",
                b"BoolStorage",
                b"ComplexFloatStorage",
                b"QInt8Storage",
            )
            data = data.replace(
                rng.choice(types), rng.choice(others + (b"_rebuild_parameter", b"Size", b"Tensor")), 1
            )
        elif kind == 4:
            del data[place : place + rng.choice((1, 2, 8))]
        else:
            data[place:place] = data[rng.randrange(len(data)) :][: rng.choice((1, 2, 8, 40))]
    return pack(files | {name: bytes(data)}, rng)


def strange_archive(content: bytes, rng: random.Random) -> bytes:
    files = unpack(content)
    name = rng.choice(list(files))
    data = files.pop(name)
    kind = rng.randrange(5)
    if kind == 0:
        files[
            rng.choice(
                (name + "x", name.upper(), "other/" + name, "/" + name, name.replace("data", "byteorder"))
            )
        ] = data
    elif kind == 1:
        files[name] = data[: rng.randrange(len(data) + 1)]
    elif kind == 2:
        files[name] = data + rng.randbytes(rng.choice((1, 4, 100)))
    elif kind == 3:
        files[name] = rng.choice((b"", b"big", b"little", b"\0" * 8, files[rng.choice(list(files))]))
    return pack(files, rng)


def strange_content(content: bytes, rng: random.Random) -> bytes:
    whole = torch.load(io.BytesIO(content), weights_only=True)
    state = dict(whole)
    for _ in range(rng.choice((1, 1, 2))):
        name = rng.choice(list(state))
        value = state[name]
        tensor = whole.get(name, torch.zeros(4))
        odd = (None, 3, "text", [], {}, [value], {name: value}, torch.Size([4]), float("nan"), True, b"bytes")
        kind = rng.randrange(8)
        if kind == 0:
            state[name] = rng.choice(odd)
        elif kind == 1:
            types = (
                torch.float16,
                torch.bfloat16,
                torch.float64,
                torch.int32,
                torch.bool,
                torch.complex64,
                torch.uint8,
            )
            state[name] = tensor.to(rng.choice(types))
        elif kind == 2:
            state[name] = tensor[None] if rng.random() < 0.5 else tensor.flatten()[:1]
        elif kind == 3:
            state[name] = rng.choice(
                (tensor.to_sparse(), tensor.to("meta"), nn.Parameter(tensor.float()), tensor.T)
            )
        elif kind == 4:
            state[rng.choice((7, None, "", f"{name}.weight", (1, 2), 1.5, "format"))] = rng.choice(
                (value, 99, "x")
            )
        elif kind == 5:
            del state[name]
        elif kind == 6:
            state = rng.choice((state, {"net": state, "history": {}}, [state], {"net": None, "history": 1}))
            if not isinstance(state, dict):
                break
        else:
            state[name] = tensor.new_zeros(()).expand(tensor.shape)
        if not state:
            break
    buffer = io.BytesIO()
    torch.save(state, buffer, _use_new_zipfile_serialization=rng.random() > 0.1)
    return buffer.getvalue()


# --- what becomes of a file ----------------------------------------------------------------------------------


def numbers(net: nn.Module) -> bytes:
    return b"".join(tensor.contiguous().numpy().tobytes() for tensor in net.state_dict().values())


def peak_gib() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**30 if sys.platform == "darwin" else 2**20)


def right(net: nn.Module, path: Path) -> bool:
    """Whether the network holds what plain torch.load() reads."""
    content = torch.load(path, map_location="cpu", weights_only=True)
    content = content.get("net", content)
    return all(
        torch.equal(tensor.nan_to_num(), content[name].to(tensor.dtype).nan_to_num())
        for name, tensor in net.state_dict().items()
    )


def load(net: nn.Module, path: Path) -> None:
    load_weights(net, path)


def resume(net: nn.Module, path: Path) -> None:
    run(net, path, epochs=3, resume=True)


def main(count: int, seed: int) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    warnings.simplefilter("ignore")  # torch.load() warns of some odd files before it refuses them
    folder = Path(tempfile.mkdtemp(prefix="fuzz-checkpoints-"))
    path = folder / "net.pt"
    saved = make_net()
    save_weights(saved, path)
    weights = path.read_bytes()
    run(saved_by_train := make_net(), path, epochs=3, resume=False)
    checkpoint = path.read_bytes()

    ways: dict[str, tuple[bytes, Callable, Callable, bytes | None]] = {
        "damaged weights": (weights, damage, load, numbers(saved)),
        "damaged checkpoint": (checkpoint, damage, load, numbers(saved_by_train)),
        "damaged checkpoint, resumed": (checkpoint, damage, resume, numbers(saved_by_train)),
        "strange pickle": (weights, strange_pickle, load, None),
        "strange pickle of a checkpoint": (checkpoint, strange_pickle, load, None),
        "strange archive": (weights, strange_archive, load, None),
        "strange content": (weights, strange_content, load, None),
    }
    rng, net = random.Random(seed), make_net()
    counts, slowest, start_memory, start = Counter(), 0.0, peak_gib(), time.perf_counter()
    for number in range(count):
        way = rng.choice(list(ways))
        content, change, use, expected = ways[way]
        path.write_bytes(changed := change(content, rng))
        before, memory, begin, fault = numbers(net), peak_gib(), time.perf_counter(), ""
        try:
            use(net, path)
            outcome = "loaded"
            if expected is not None and numbers(net) != expected:
                fault = "other weights than those saved"
            elif expected is None and not right(net, path):
                fault = "other weights than those in the file"
        except CheckpointError as error:
            outcome = "refused"
            if numbers(net) != before:
                fault = "refused, but the network was changed"
            elif "\n" in str(error) or not str(error).endswith("."):
                fault = f"not one sentence: {error}"
        except Exception as error:
            outcome, fault = "failed", f"{type(error).__name__}: {error}"
        slowest = max(slowest, seconds := time.perf_counter() - begin)
        if seconds > MAX_SECONDS:
            fault = f"took {seconds:.1f} s"
        if peak_gib() - memory > MAX_GIB:
            fault = f"took {peak_gib() - memory:.1f} GiB"
        counts[way, "unchanged" if changed == content else outcome] += 1
        if fault:
            kept = folder / "fault.pt"
            kept.write_bytes(changed)
            print(f"File {number} of seed {seed} ({way}): {fault}\nKept as {kept}")
            sys.exit(1)
    for way in ways:
        figures = {outcome: counts[way, outcome] for outcome in ("refused", "loaded", "unchanged")}
        print(f"{way:32}", "  ".join(f"{outcome} {figure:6,}" for outcome, figure in figures.items()))
    print(
        f"{count:,} files in {time.perf_counter() - start:.0f} s, none with another outcome; the slowest took "
        f"{slowest:.2f} s, all together {peak_gib() - start_memory:.2f} GiB more memory."
    )
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()


if __name__ == "__main__":
    arguments = [int(argument) for argument in sys.argv[1:]]
    main(*(arguments + [20_000, 0][len(arguments) :]))
