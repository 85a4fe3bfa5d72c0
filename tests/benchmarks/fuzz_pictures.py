"""Feeds `load_image` with thousands of damaged pictures: each has to end in a picture or in an ImageError.

    python tests/benchmarks/fuzz_pictures.py [--inputs 10000] [--seed 0] [--save fuzz_failures]

Whatever else happens is counted, printed and saved, and makes the exit status 1. The input at work lies in the
same folder under the name `current`, so that even one that ends Python itself is not lost.
"""

import argparse
import random
import struct
import sys
import time
import traceback
import warnings
import zlib
from collections import Counter
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2]))

from utils.image import MAX_PIXELS, ImageError
from utils.predict import load_image

EDGES = (
    0,
    1,
    2,
    3,
    0x7F,
    0x80,
    0xFE,
    0xFF,
    0x100,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
)
SECONDS = 10.0  # an input that takes longer counts as a failure


def seed_pictures() -> list[bytes]:
    """Small right pictures of all formats, modes and features."""
    rng = np.random.default_rng(0)
    rgba = Image.fromarray(rng.integers(0, 256, (20, 24, 4), dtype=np.uint8))
    rgb, grey, indexed = rgba.convert("RGB"), rgba.convert("L"), rgba.convert("RGB").quantize(16)
    grey16 = Image.fromarray(rng.integers(0, 65536, (20, 24), dtype=np.uint16))
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a cat"
    frames = {"save_all": True, "append_images": [rgb.rotate(90), rgb.rotate(180)]}
    ways = [
        (rgb, "JPEG", {}),
        (rgb, "JPEG", {"progressive": True, "subsampling": 0, "exif": exif, "comment": "a cat"}),
        (grey, "JPEG", {"restart_marker_rows": 1, "icc_profile": b"profile"}),
        (rgb.convert("CMYK"), "JPEG", {}),
        (rgb, "MPO", {"save_all": True, "append_images": [rgb.rotate(90)]}),
        (rgb, "PNG", {"exif": exif}),
        (rgb, "PNG", frames),
        (rgb, "PNG", {"transparency": (1, 2, 3)}),
        (rgba, "PNG", {}),
        (rgba.convert("LA"), "PNG", {}),
        (grey, "PNG", {"transparency": 7}),
        (grey16, "PNG", {}),
        (grey.convert("1"), "PNG", {}),
        (indexed, "PNG", {"transparency": bytes(range(16)), "bits": 4}),
        (indexed, "GIF", {}),
        (indexed, "GIF", {**frames, "transparency": 3, "comment": "a cat", "disposal": 2}),
        (grey, "GIF", {"interlace": 0}),
        (rgb, "BMP", {}),
        (rgba, "BMP", {}),
        (indexed, "BMP", {}),
        (grey.convert("1"), "BMP", {}),
        (rgb, "WEBP", {"exif": exif}),
        (rgba, "WEBP", {}),
        (rgba, "WEBP", {"lossless": True}),
        (rgb, "WEBP", frames),
    ]
    seeds = []
    for image, format, options in ways:
        file = BytesIO()
        image.save(file, format, **options)
        seeds.append(file.getvalue())
    header = struct.pack(
        "<IiiHHIIiiII", 40, 8, 2, 1, 8, 1, 12, 0, 0, 4, 0
    )  # a BMP in run lengths, as Windows wrote
    seeds.append(
        b"BM" + struct.pack("<IHHI", 82, 0, 0, 70) + header + bytes(16) + b"\5\1\0\3\2\0\1\0\0\0\x08\3\0\1"
    )
    return seeds


def repaired(data: bytes) -> bytes:
    """A PNG with the right checksum for each of its chunks, so that damage gets past the first check."""
    out, at = bytearray(data), 8
    while at + 12 <= len(out):
        length = int.from_bytes(out[at : at + 4], "big")
        end = at + 8 + length
        if end + 4 > len(out):
            break
        out[end : end + 4] = struct.pack(">I", zlib.crc32(out[at + 4 : end]))
        at = end + 4
    return bytes(out)


def mutated(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """One to four changes: bits, bytes, numbers, cuts, repeats and pieces of other files."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(len(data) or 1)
        if rng.random() < 0.5:
            at = min(at, rng.randrange(100))  # headers are where the numbers are
        kind = rng.randrange(8)
        if kind == 0 and data:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at : at + 1] = rng.randbytes(rng.choice((1, 1, 4, 40)))
        elif kind == 2:
            size = rng.choice((1, 2, 4))
            number = rng.choice(EDGES) & (256**size - 1)
            data[at : at + size] = number.to_bytes(size, rng.choice(("little", "big")))
        elif kind == 3:
            del data[at:]
        elif kind == 4:
            del data[at : at + rng.choice((1, 2, 8, 100))]
        elif kind == 5:
            piece = data[at : at + rng.choice((1, 8, 40, 400))]
            data[at:at] = piece * rng.choice((1, 2, 50))
        elif kind == 6:
            other = rng.choice(others)
            start = rng.randrange(len(other))
            data[at : at + rng.choice((0, 40, 10_000))] = other[start : start + rng.choice((8, 100, 10_000))]
        else:
            data[at : at + 8] = bytes([rng.choice((0, 255))]) * 8
    if data.startswith(b"\x89PNG") and rng.random() < 0.8:
        data = repaired(data)
    return bytes(data)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", type=Path, default=Path("fuzz_failures"))
    options = parser.parse_args()
    options.save.mkdir(exist_ok=True)
    warnings.simplefilter("error")  # a warning that reaches the reader is a failure too

    seeds, rng = seed_pictures(), random.Random(options.seed)
    for data in seeds:
        load_image(data)  # every seed is right
    counts, sentences, slowest, failures = Counter(), Counter(), 0.0, 0
    start = time.monotonic()
    for number in range(options.inputs):
        data = mutated(rng.choice(seeds), seeds, rng)
        (options.save / "current").write_bytes(data)
        began, report = time.monotonic(), None
        try:
            image = load_image(data)
            counts["right pictures"] += 1
            if image.mode != "RGB" or not 0 < image.width * image.height <= MAX_PIXELS:
                report = f"a picture of mode {image.mode} and size {image.size}"
        except ImageError as error:
            counts["ImageErrors"] += 1
            sentences[str(error)[:60]] += 1
            if "\n" in str(error) or not str(error).endswith("."):
                report = f"not one sentence: {error}"
        except Exception:
            counts["anything else"] += 1
            report = traceback.format_exc()
        seconds = time.monotonic() - began
        slowest = max(slowest, seconds)
        if report or seconds > SECONDS:
            failures += 1
            path = options.save / f"{options.seed}_{number}"
            path.write_bytes(data)
            print(f"{path}: {report or f'{seconds:.1f} s'}")
    (options.save / "current").unlink()
    if not failures:
        options.save.rmdir()

    print(
        f"{options.inputs:,} inputs from {len(seeds)} pictures, seed {options.seed}, {time.monotonic() - start:.0f} s"
    )
    for name in ("right pictures", "ImageErrors", "anything else"):
        print(f"{counts[name]:8,} {name}")
    for sentence, count in sentences.most_common(8):
        print(f"{count:16,}  {sentence}")
    print(f"slowest input: {slowest:.2f} s; failures: {failures}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
