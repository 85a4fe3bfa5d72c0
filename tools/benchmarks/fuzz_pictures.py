"""Feeds `load_image` with thousands of damaged pictures and links.

Each of them has to end in a picture or in an ImageError. Run by hand:

    .venv/bin/python tools/benchmarks/fuzz_pictures.py [--inputs 10000] [--links 500] [--seed 0]

Whatever else happens is counted, printed and saved, and makes the exit status 1: another exception,
a warning, a picture that is not RGB, an input that takes longer than 10 seconds. The input at work
lies in the same folder under the name `current`, so that even one that ends Python itself is not
lost; --save names another folder than fuzz_failures. The links are answers of a server on loopback,
damaged in the same ways: in the status, the headers and the body.
"""

import argparse
import gzip
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

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))  # for its servers

from servers import Server, reply

from utils.machinery import web
from utils.machinery.pictures import MAX_PIXELS, ImageError
from utils.predict import load_image

EDGES = (  # numbers at which something in a header may end
    *(0, 1, 2, 3, 0x7F, 0x80, 0xFE, 0xFF, 0x100),
    *(0x7FFF, 0x8000, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1),
)
SECONDS = 10.0  # an input that takes longer counts as a failure


def seed_pictures() -> list[bytes]:
    """Small right pictures of all formats, modes and features."""
    rng = np.random.default_rng(0)
    rgba = Image.fromarray(rng.integers(0, 256, (20, 24, 4), dtype=np.uint8))
    rgb = rgba.convert("RGB")
    grey = rgba.convert("L")
    indexed = rgb.quantize(16)
    grey16 = Image.fromarray(rng.integers(0, 65536, (20, 24), dtype=np.uint16))
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation
    exif[0x010E] = "a cat"  # description
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
        *((image, "BMP", {}) for image in (rgb, rgba, indexed, grey.convert("1"))),
        (rgb, "WEBP", {"exif": exif}),
        (rgba, "WEBP", {"lossless": True}),
        (rgb, "WEBP", frames),
    ]
    seeds = []
    for image, format, options in ways:
        file = BytesIO()
        image.save(file, format, **options)
        seeds.append(file.getvalue())
    return seeds


def seed_answers(pictures: list[bytes]) -> list[bytes]:
    """What servers say about these: plain, packed, in chunks, redirected."""
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(pictures[0]), pictures[0])
    return [
        *(reply(picture, Content_Type="image/png") for picture in pictures[:4]),
        *(reply(gzip.compress(picture), Content_Encoding="gzip") for picture in pictures[:4]),
        reply(Content_Length=None, Transfer_Encoding="chunked") + chunks,
        *(
            reply(b"", "302 Found", Location=link)
            for link in ("/cat.png", "//127.0.0.1:9/", "file:///etc/passwd")
        ),
        reply(b"<html>", "404 Not Found"),
    ]


def repaired(data: bytes) -> bytes:
    """A PNG with right checksums in all chunks, so that damage gets past the first check."""
    out = bytearray(data)
    at = 8
    while at + 12 <= len(out):
        end = at + 8 + int.from_bytes(out[at : at + 4], "big")
        if end + 4 > len(out):
            break
        out[end : end + 4] = struct.pack(">I", zlib.crc32(out[at + 4 : end]))
        at = end + 4
    return bytes(out)


def flip_bit(data: bytearray, at: int, others: list[bytes], rng: random.Random) -> None:
    if data:
        data[at] ^= 1 << rng.randrange(8)


def other_bytes(data: bytearray, at: int, others: list[bytes], rng: random.Random) -> None:
    data[at : at + 1] = rng.randbytes(rng.choice((1, 1, 4, 40)))


def other_number(data: bytearray, at: int, others: list[bytes], rng: random.Random) -> None:
    size = rng.choice((1, 2, 4))
    number = rng.choice(EDGES) & (256**size - 1)
    data[at : at + size] = number.to_bytes(size, rng.choice(("little", "big")))


def cut_off(data: bytearray, at: int, others: list[bytes], rng: random.Random) -> None:
    del data[at:]


def cut_out(data: bytearray, at: int, others: list[bytes], rng: random.Random) -> None:
    del data[at : at + rng.choice((1, 2, 8, 100))]


def repeat(data: bytearray, at: int, others: list[bytes], rng: random.Random) -> None:
    piece = data[at : at + rng.choice((1, 8, 40, 400))]
    data[at:at] = piece * rng.choice((1, 2, 50))


def splice(data: bytearray, at: int, others: list[bytes], rng: random.Random) -> None:
    other = rng.choice(others)
    start = rng.randrange(len(other))
    piece = other[start : start + rng.choice((8, 100, 10_000))]
    data[at : at + rng.choice((0, 40, 10_000))] = piece


def blank(data: bytearray, at: int, others: list[bytes], rng: random.Random) -> None:
    data[at : at + 8] = bytes([rng.choice((0, 255))]) * 8


DAMAGES = (flip_bit, other_bytes, other_number, cut_off, cut_out, repeat, splice, blank)


def mutated(content: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """One to four changes: bits, bytes, numbers, cuts, repeats and pieces of other files."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(len(data) or 1)
        if rng.random() < 0.5:
            at = min(at, rng.randrange(100))  # headers are where the numbers are
        damage = rng.choice(DAMAGES)
        damage(data, at, others, rng)
    if data.startswith(b"\x89PNG") and rng.random() < 0.8:
        return repaired(bytes(data))
    return bytes(data)


def fault(source: bytes | str, counts: Counter) -> str | None:
    """What is wrong with what `load_image` makes of a source, if anything."""
    began = time.monotonic()
    try:
        image = load_image(source)
        counts["right pictures"] += 1
        if image.mode != "RGB" or not 0 < image.width * image.height <= MAX_PIXELS:
            return f"a picture of mode {image.mode} and size {image.size}"
    except ImageError as error:
        counts["ImageErrors"] += 1
        if "\n" in str(error) or not str(error).endswith("."):
            return f"not one sentence: {error}"
    except Exception:
        counts["anything else"] += 1
        return traceback.format_exc()
    seconds = time.monotonic() - began
    return f"{seconds:.1f} s" if seconds > SECONDS else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--links", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", type=Path, default=Path("fuzz_failures"))
    options = parser.parse_args()
    options.save.mkdir(exist_ok=True)
    warnings.simplefilter("error")  # a warning that reaches the reader is a failure too
    # A socket that urllib3 leaves to the garbage collector is none.
    warnings.simplefilter("ignore", ResourceWarning)
    web.TIMEOUT = (1, 1)

    rng = random.Random(options.seed)
    pictures = seed_pictures()
    for data in pictures:
        load_image(data)  # every seed is right
    answers = seed_answers(pictures)
    counts: Counter = Counter()
    failures = 0
    for number in range(options.inputs + options.links):
        link = number >= options.inputs
        seeds = answers if link else pictures
        data = mutated(rng.choice(seeds), seeds, rng)
        (options.save / "current").write_bytes(data)
        if link:
            with Server(data, reply(pictures[0])) as server:  # the second is where redirects lead
                report = fault(server.url, counts)
        else:
            report = fault(data, counts)
        if report:
            failures += 1
            (options.save / f"{options.seed}_{number}").write_bytes(data)
            print(f"{options.save}/{options.seed}_{number}: {report}")
    (options.save / "current").unlink()
    if not failures:
        options.save.rmdir()
    print(f"{options.inputs:,} pictures and {options.links:,} links, seed {options.seed}:")
    print(f"{dict(counts)}")
    print(f"failures: {failures}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
