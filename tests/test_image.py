"""Pictures of every kind, right and wrong: each ends in the right pixels or in one sentence, within 200 MB."""

import os
import struct
import subprocess
import sys
import time
import traceback
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from utils import image as rules
from utils.image import ImageError, decode_image, open_image, to_rgb

ROOT = Path(__file__).parents[1]
RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (6, 8, 3), dtype=np.uint8)  # what every pixel-exact format has to give back
SMOOTH = np.add.outer(np.arange(24), np.arange(32))[..., None] * np.array([4, 2, 1]) + np.array([0, 60, 100])
SMOOTH = SMOOTH.astype(np.uint8)  # for JPEG and lossy WebP
RED, GREEN, BLUE, WHITE, BLACK = [255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [0, 0, 0]


# --- files made by hand, where Pillow cannot write them ---------------------------------------------------


def encode(image, format, **options) -> bytes:
    """A picture (PIL image or array) as a file."""
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    file = BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth, colour, rows: bytes, *before, interlace=0, after=b"") -> bytes:
    """A PNG of raw rows (each begins with its filter byte); `before` are chunks that come before the pixels."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    pixels = chunk(b"IDAT", zlib.compress(rows)) if rows is not None else b""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(before) + pixels + after + chunk(b"IEND")


def trns(*values) -> bytes:
    return chunk(b"tRNS", struct.pack(f">{len(values)}H", *values))


def gif(size, frame, *, transparent=None, disposal=0, codes=(4, 1, 4, 1, 4, 1, 4, 1, 5)) -> bytes:
    """A GIF whose one frame (left, top, width, height) is green, with red, green, blue and grey as its colours."""
    data = b"GIF89a" + struct.pack("<HHBBB", *size, 0x81, 2, 0) + bytes([*RED, *GREEN, *BLUE, 9, 9, 9])
    if transparent is not None:
        data += b"!\xf9\4" + bytes([disposal << 2 | 1, 0, 0, transparent, 0])
    packed = sum(code << (3 * k) for k, code in enumerate(codes)).to_bytes(4, "little")
    return data + b"," + struct.pack("<HHHHB", *frame, 0) + b"\2\4" + packed + b"\0;"


def bmp(width, height, bits, compression, pixels: bytes, palette=b"") -> bytes:
    start = 14 + 40 + len(palette)
    colours = len(palette) // 4
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(pixels), 0, 0, colours, 0)
    return b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + info + palette + pixels


def segment(marker: int, data: bytes = b"") -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def without(jpeg: bytes, marker: int) -> bytes:
    """A JPEG without its first segment of this kind."""
    at = jpeg.index(struct.pack("BB", 0xFF, marker))
    return jpeg[:at] + jpeg[at + 2 + struct.unpack(">H", jpeg[at + 2 : at + 4])[0] :]


def jpeg_header(width, height, precision=8, channels=1) -> bytes:
    """A JPEG up to its first scan."""
    frame = struct.pack(">BHHB", precision, height, width, channels)
    frame += b"".join(bytes([k + 1, 0x11, 0]) for k in range(channels))
    return b"\xff\xd8" + segment(0xDB, b"\0" + b"\1" * 64) + segment(0xC0, frame)


def many_scans(count: int) -> bytes:
    """A progressive JPEG whose pixels are gone over again and again by scans of 21 bytes each."""
    frame = segment(0xC2, struct.pack(">BHHB", 8, 64, 64, 1) + b"\1\x11\0")
    codes = b"".join(segment(0xC4, kind + bytes([1] + [0] * 15) + value) for kind, value in [(b"\0", b"\0")])
    codes += segment(0xC4, b"\x10" + bytes([1] + [0] * 15) + b"\x60")  # AC: a run of 64 empty blocks
    first = segment(0xDA, b"\1\1\0\0\0\0") + bytes(8)
    again = segment(0xDA, b"\1\1\0\1\1\0") + b"\x01"
    return (
        b"\xff\xd8" + segment(0xDB, b"\0" + b"\1" * 64) + frame + codes + first + again * count + b"\xff\xd9"
    )


def exif(orientation) -> bytes:
    data = Image.Exif()
    data[0x0112] = orientation
    return data.tobytes()


def on_white(rgba: np.ndarray) -> np.ndarray:
    alpha = rgba[..., 3:].astype(float) / 255
    return np.rint(rgba[..., :3] * alpha + 255 * (1 - alpha))


# --- right pictures ---------------------------------------------------------------------------------------

GREY = NOISE[..., 0]
RGBA = RNG.integers(0, 256, (6, 8, 4), dtype=np.uint8)
INDEXED = Image.fromarray((np.arange(48).reshape(6, 8) % 4).astype(np.uint8)).convert("P")
INDEXED.putpalette([*RED, *GREEN, *BLUE, *BLACK])
COLOURS = np.array([RED, GREEN, BLUE, BLACK])[np.arange(48).reshape(6, 8) % 4]
GREY16 = np.array([[0, 255, 256, 0x1234], [0x7FFF, 0x8000, 0xFF00, 0xFFFF]], dtype=np.uint16)
TOP = np.zeros((32, 48, 3), np.uint8)  # a picture that looks different in each of the eight orientations
TOP[:16, :16], TOP[:16, 16:] = 255, 128
HUGE = b"\0" * 20_000_000
CMYK = Image.new("CMYK", (16, 16), (200, 30, 0, 10))
CMYK_RGB = np.full((16, 16, 3), [(255 - c) * 245 / 255 for c in (200, 30, 0)])
FRAMES = [Image.fromarray(NOISE[::step]).resize((8, 6), 0) for step in (-1, -2, -3)]


def repeat(colour, height=1, width=1) -> np.ndarray:
    return np.full((height, width, 3), colour)


def stack(*channels) -> np.ndarray:
    return np.stack(channels, axis=-1)


def orient(array: np.ndarray, orientation: int) -> np.ndarray:
    """How a camera stores an upright picture under this EXIF orientation (the inverse of turning it upright)."""
    stored = {
        2: array[:, ::-1],
        3: array[::-1, ::-1],
        4: array[::-1],
        5: array.transpose(1, 0, 2),
        6: array.transpose(1, 0, 2)[::-1],
        7: array[::-1, ::-1].transpose(1, 0, 2),
        8: array.transpose(1, 0, 2)[:, ::-1],
    }
    return np.ascontiguousarray(stored.get(orientation, array))


def rle8() -> bytes:
    """The bottom row: four of colour 1; the top row: colours 2, 0, 3 one by one, then one of colour 1."""
    palette = b"".join(bytes([b, g, r, 0]) for r, g, b in (RED, GREEN, BLUE, BLACK))
    return bmp(4, 2, 8, 1, b"\4\1\0\0" + b"\0\3\2\0\3\0" + b"\1\1\0\0" + b"\0\1", palette)


# name: (file, expected RGB [height, width, 3], largest difference allowed)
RIGHT = {
    "1 x 1 PNG": (encode(NOISE[:1, :1], "PNG"), NOISE[:1, :1], 0),
    "1 x 1 GIF": (encode(Image.new("P", (1, 1)), "GIF"), repeat(BLACK), 0),
    "1 x 1 BMP": (encode(NOISE[:1, :1], "BMP"), NOISE[:1, :1], 0),
    "1 x 1 WebP": (encode(NOISE[:1, :1], "WEBP", lossless=True), NOISE[:1, :1], 0),
    "1 x 1 JPEG": (encode(Image.new("RGB", (1, 1), "red"), "JPEG"), repeat(RED), 2),
    "20,000 x 1": (encode(Image.new("RGB", (20_000, 1), "red"), "PNG"), repeat(RED, 1, 20_000), 0),
    "1 x 20,000": (encode(Image.new("RGB", (1, 20_000), "red"), "PNG"), repeat(RED, 20_000, 1), 0),
    "20,000 x 1 JPEG": (encode(Image.new("L", (20_000, 1), 255), "JPEG"), repeat(WHITE, 1, 20_000), 0),
    # colours
    "PNG": (encode(NOISE, "PNG"), NOISE, 0),
    "BMP": (encode(NOISE, "BMP"), NOISE, 0),
    "WebP without loss": (encode(NOISE, "WEBP", lossless=True), NOISE, 0),
    "WebP": (encode(SMOOTH, "WEBP", quality=95), SMOOTH, 12),
    "JPEG": (encode(SMOOTH, "JPEG", quality=98, subsampling=0), SMOOTH, 4),
    "progressive JPEG": (encode(SMOOTH, "JPEG", quality=98, subsampling=0, progressive=True), SMOOTH, 4),
    "MPO, as phones write": (
        encode(SMOOTH, "MPO", save_all=True, append_images=[CMYK.convert("RGB")], quality=98),
        SMOOTH,
        12,
    ),
    "GIF": (encode(INDEXED, "GIF"), COLOURS, 0),
    "PNG with a palette": (encode(INDEXED, "PNG"), COLOURS, 0),
    "BMP with a palette": (encode(INDEXED, "BMP"), COLOURS, 0),
    "CMYK JPEG": (encode(CMYK, "JPEG", quality=100), CMYK_RGB, 3),
    "CMYK JPEG without Adobe's mark": (without(encode(CMYK, "JPEG", quality=100), 0xEE), CMYK_RGB, 3),
    "interlaced PNG": (
        png(2, 2, 8, 2, b"".join(b"\0" + bytes(v) for v in (RED, GREEN, BLUE + WHITE)), interlace=1),
        np.array([[RED, GREEN], [BLUE, WHITE]]),
        0,
    ),
    "BMP stored from the top": (
        bmp(1, -2, 24, 0, b"\0\0\xff\0" + b"\xff\0\0\0"),
        np.array([[RED], [BLUE]]),
        0,
    ),
    "BMP of 16 bits": (bmp(1, 1, 16, 0, struct.pack("<HH", 0b11111 << 10, 0)), repeat(RED), 0),
    "BMP, run lengths": (rle8(), np.array([[BLUE, RED, BLACK, GREEN], [GREEN] * 4]), 0),
    # grey
    "grey PNG": (encode(GREY, "PNG"), stack(GREY, GREY, GREY), 0),
    "grey JPEG": (encode(SMOOTH[..., 0], "JPEG", quality=98), stack(*[SMOOTH[..., 0]] * 3), 3),
    "1-bit PNG": (png(2, 1, 1, 0, b"\0\x40"), np.array([[BLACK, WHITE]]), 0),
    "2-bit PNG": (png(4, 1, 2, 0, b"\0\x1b"), stack(*[np.array([[0, 85, 170, 255]])] * 3), 0),
    "4-bit PNG": (png(2, 1, 4, 0, b"\0\x5f"), stack(*[np.array([[85, 255]])] * 3), 0),
    "1-bit BMP": (encode(Image.fromarray(GREY > 127), "BMP"), stack(*[(GREY > 127) * 255] * 3), 0),
    "16-bit grey": (encode(GREY16, "PNG"), stack(*[GREY16 >> 8] * 3), 0),
    "16-bit grey, one value clear": (
        png(3, 1, 16, 0, b"\0" + struct.pack(">3H", 0x1234, 0x1235, 0x8000), trns(0x1234)),
        np.array([[WHITE, [0x12] * 3, [0x80] * 3]]),
        0,
    ),
    "16-bit colour": (
        png(1, 1, 16, 2, b"\0" + struct.pack(">3H", 0xFF00, 0x1234, 0)),
        repeat([0xFF, 0x12, 0]),
        0,
    ),
    # transparency
    "RGBA PNG": (encode(RGBA, "PNG"), on_white(RGBA), 1),
    "RGBA WebP": (encode(RGBA, "WEBP", lossless=True, exact=True), on_white(RGBA), 1),
    "RGBA, all clear": (encode(Image.new("RGBA", (2, 2), (9, 9, 9, 0)), "PNG"), repeat(WHITE, 2, 2), 0),
    "16-bit RGBA": (
        png(1, 1, 16, 6, b"\0" + struct.pack(">4H", 0xFF00, 0, 0, 0x8000)),
        repeat([255, 127, 127]),
        1,
    ),
    "grey with alpha": (encode(RGBA[..., :2], "PNG"), on_white(RGBA[..., [0, 0, 0, 1]]), 1),
    "16-bit grey with alpha": (
        png(2, 1, 16, 4, b"\0" + struct.pack(">4H", 0x1200, 0xFFFF, 0x1200, 0)),
        np.array([[[0x12] * 3, WHITE]]),
        0,
    ),
    "palette with alpha": (
        encode(INDEXED, "PNG", transparency=bytes([255, 0, 128, 255])),
        np.array([RED, WHITE, [127, 127, 255], BLACK])[np.arange(48).reshape(6, 8) % 4],
        1,
    ),
    "palette, one colour clear": (
        encode(INDEXED, "GIF", transparency=1),
        np.array([RED, WHITE, BLUE, BLACK])[np.arange(48).reshape(6, 8) % 4],
        0,
    ),
    "grey, one value clear": (
        png(2, 1, 8, 0, b"\0\x05\x06", trns(5)),
        np.array([[WHITE, [6, 6, 6]]]),
        0,
    ),
    "4-bit grey, one value clear": (
        png(2, 1, 4, 0, b"\0\x5f", trns(5)),
        np.array([[WHITE, WHITE]]),
        0,
    ),
    "2-bit grey, one value clear": (png(2, 1, 2, 0, b"\0\x10", trns(1)), np.array([[BLACK, WHITE]]), 0),
    "1-bit grey, one value clear": (png(2, 1, 1, 0, b"\0\x40", trns(0)), np.array([[WHITE, WHITE]]), 0),
    "one colour clear": (
        png(2, 1, 8, 2, b"\0" + bytes([1, 2, 3, 1, 2, 4]), trns(1, 2, 3)),
        np.array([[WHITE, [1, 2, 4]]]),
        0,
    ),
    "16-bit colour, one colour clear": (
        png(2, 1, 16, 2, b"\0" + struct.pack(">6H", 300, 600, 900, 0, 0, 0), trns(300, 600, 900)),
        np.array([[WHITE, BLACK]]),
        0,
    ),
    # animations: the first frame
    "animated GIF": (
        encode(INDEXED, "GIF", save_all=True, append_images=[INDEXED.rotate(180), INDEXED.rotate(90)]),
        COLOURS,
        0,
    ),
    "animated WebP": (encode(NOISE, "WEBP", save_all=True, append_images=FRAMES, lossless=True), NOISE, 0),
    "animated PNG": (encode(NOISE, "PNG", save_all=True, append_images=FRAMES), NOISE, 0),
    "GIF, frame smaller than canvas": (
        gif((4, 4), (1, 1, 2, 2)),
        np.pad(repeat(GREEN, 2, 2), ((1, 1), (1, 1), (0, 0)), constant_values=255),
        0,
    ),
    "GIF, frame outside the canvas": (
        gif((1, 1), (1, 1, 2, 2)),
        np.pad(repeat(GREEN, 2, 2), ((1, 0), (1, 0), (0, 0)), constant_values=255),
        0,
    ),
    "GIF, clear frame": (gif((2, 2), (0, 0, 2, 2), transparent=1), repeat(WHITE, 2, 2), 0),
    # odd, but right
    "junk after the end": (encode(NOISE, "PNG") + b"junk" * 99, NOISE, 0),
    "junk after a JPEG": (encode(SMOOTH, "JPEG", quality=98, subsampling=0) + b"junk" * 99, SMOOTH, 4),
    "PNG without an end": (encode(NOISE, "PNG")[:-12], NOISE, 0),
    "PNG with notes": (
        png(1, 1, 8, 2, b"\0\xff\0\0", chunk(b"tEXt", b"Title\0x"), chunk(b"prVt", b"?")),
        repeat(RED),
        0,
    ),
    "damaged EXIF in a PNG": (
        png(1, 1, 8, 2, b"\0\xff\0\0", chunk(b"eXIf", b"neither II nor MM")),
        repeat(RED),
        0,
    ),
    "damaged EXIF": (
        b"\xff\xd8" + segment(0xE1, b"Exif\0\0neither II nor MM") + encode(SMOOTH, "JPEG", quality=98)[2:],
        SMOOTH,
        12,
    ),
    "orientation 0": (encode(NOISE, "PNG", exif=exif(0)), NOISE, 0),
    "orientation 9": (encode(NOISE, "PNG", exif=exif(9)), NOISE, 0),
    **{
        f"orientation {k} {format}": (
            encode(orient(TOP, k), format, exif=exif(k), **options),
            TOP,
            tolerance,
        )
        for k in range(1, 9)
        for format, options, tolerance in [
            ("JPEG", {"quality": 98, "subsampling": 0}, 4),
            ("PNG", {}, 0),
            ("WEBP", {"lossless": True}, 0),
        ]
    },
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_pictures_have_the_right_pixels(name):
    data, expected, tolerance = RIGHT[name]
    image = decode_image(data)
    assert image.mode == "RGB"
    pixels = np.asarray(image).astype(float)
    assert pixels.shape == expected.shape
    assert np.abs(pixels - expected).max() <= tolerance


# --- wrong ones -------------------------------------------------------------------------------------------

FORMATS = {
    "JPEG": encode(NOISE, "JPEG"),
    "progressive JPEG": encode(NOISE, "JPEG", progressive=True),
    "PNG": encode(NOISE, "PNG"),
    "GIF": encode(INDEXED, "GIF"),
    "BMP": encode(NOISE, "BMP"),
    "WebP": encode(NOISE, "WEBP"),
    "WebP without loss": encode(NOISE, "WEBP", lossless=True),
}
SMALL_PNG = FORMATS["PNG"]
IDAT = SMALL_PNG.index(b"IDAT")


def replaced(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def many_parts(start: bytes, part: bytes, rest: bytes) -> bytes:
    """A file of almost 10 MB that is full of empty parts."""
    return start + part * ((9_900_000 - len(start) - len(rest)) // len(part)) + rest


# name: (file, words of the error)
WRONG = {
    "empty": (b"", "empty"),
    "one byte": (b"x", "no picture"),
    "zeros": (bytes(1000), "no picture"),
    "text": (b"this is not a picture, whatever its name says\n", "no picture"),
    "HTML": (b"<!DOCTYPE html><html><img src=cat.png></html>", "web page"),
    "HTML after a byte order mark and blanks": (b"\xef\xbb\xbf \r\n\t<html>", "web page"),
    "SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
    "XML": (b"<?xml version='1.0'?><svg/>", "XML"),
    "TIFF, little-endian": (encode(NOISE, "TIFF"), "TIFF"),
    "TIFF, big-endian": (b"MM\0*" + encode(NOISE, "TIFF")[4:], "TIFF"),
    "EPS": (encode(NOISE, "EPS"), "EPS"),
    "PDF": (encode(NOISE, "PDF"), "PDF"),
    "HEIC": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100), "HEIC"),
    "icon": (encode(Image.new("RGB", (16, 16)), "ICO"), "no picture"),
    "PPM": (encode(NOISE, "PPM"), "no picture"),
    "TGA": (encode(NOISE, "TGA"), "no picture"),
    "PCX": (encode(NOISE, "PCX"), "no picture"),
    "BMP without its file header": (encode(NOISE, "DIB"), "no picture"),
    **{f"only the beginning of {name}": (data[:12], "damaged") for name, data in FORMATS.items()},
    **{f"half of {name}": (data[: len(data) // 2], "damaged") for name, data in FORMATS.items()},
    **{f"{name} but for its last 25 bytes": (data[:-25], "damaged") for name, data in FORMATS.items()},
    "PNG, wrong checksum of the header": (replaced(SMALL_PNG, 29, b"????"), "damaged"),
    "PNG, wrong pixels": (replaced(SMALL_PNG, IDAT + 20, b"\0" * 20), "damaged"),
    "PNG without pixels": (png(2, 2, 8, 2, None), "damaged"),
    "PNG of 0 x 0": (png(0, 0, 8, 2, b""), "damaged"),
    "PNG of colour type 9": (png(1, 1, 8, 9, b"\0\0"), "damaged"),
    "PNG of -1 x -1": (png(2**32 - 1, 2**32 - 1, 8, 0, b"\0"), "memory"),
    "JPEG of 12 bits": (jpeg_header(8, 8, precision=12) + b"\xff\xd9", "damaged"),
    "JPEG of 2 channels": (jpeg_header(8, 8, channels=2) + b"\xff\xd9", "damaged"),
    "JPEG without scans": (jpeg_header(8, 8) + b"\xff\xd9", "damaged"),
    "GIF without frames": (b"GIF89a" + struct.pack("<HHBBB", 4, 4, 0, 0, 0) + b";", "damaged"),
    "GIF, pixels of a wrong kind": (gif((2, 2), (0, 0, 2, 2), codes=(4, 7, 7, 7, 7, 7)), "damaged"),
    "BMP of 7 bits": (bmp(1, 1, 7, 0, bytes(8)), "damaged"),
    "BMP, run lengths for one row of four": (bmp(4, 4, 8, 1, b"\4\1\0\0\0\1", b"\0" * 16), "damaged"),
    # bombs: small files of huge pictures, and files that keep a decoder busy
    "bomb of 100,000 x 100,000": (png(100_000, 100_000, 8, 0, HUGE[:100_000]), "memory"),
    "bomb of 5,000 x 5,001": (png(5_000, 5_001, 1, 0, bytes(626 * 5_001)), "5,000 x 5,001"),
    "bomb of 12,000 x 12,000": (png(12_000, 12_000, 8, 2, HUGE[:100]), "12,000 x 12,000"),
    "20,001 x 1": (encode(Image.new("L", (20_001, 1)), "PNG"), "20,001 x 1"),
    "JPEG of 65,500 x 65,500": (jpeg_header(65_500, 65_500) + segment(0xDA, b"\1\1\0\0\0\0"), "memory"),
    "JPEG of 9,000 x 9,000": (jpeg_header(9_000, 9_000) + segment(0xDA, b"\1\1\0\0\0\0"), "9,000 x 9,000"),
    "CMYK JPEG of 16 megapixels": (encode(Image.new("CMYK", (4_000, 4_000)), "JPEG"), "15,000,000"),
    "GIF of 65,535 x 65,535": (gif((65_535, 65_535), (0, 0, 2, 2)), "memory"),
    "GIF of 13,000 x 13,000, to be cleared": (
        gif((13_000, 13_000), (0, 0, 13_000, 13_000), transparent=0, disposal=2),
        "13,000 x 13,000",
    ),
    "GIF, frame at 40,000": (gif((4, 4), (40_000, 0, 2, 2)), "40,002 x 4"),
    "BMP of 2 billion rows": (bmp(1, -(2**31), 24, 0, bytes(8)), "memory"),
    "WebP of 16,383 x 16,383": (
        replaced(encode(RGBA, "WEBP", exif=exif(1)), 24, b"\xfe\x3f\0\xfe\x3f\0"),
        "save",
    ),
    "WebP of 9 megapixels": (encode(Image.new("L", (3_000, 3_000)), "WEBP", method=0), "8,300,000"),
    "comment that unpacks to 20 MB": (
        png(1, 1, 8, 2, b"\0\0\0\0", chunk(b"zTXt", b"k\0\0" + zlib.compress(HUGE))),
        "damaged",
    ),
    "colour profile that unpacks to 20 MB": (
        png(1, 1, 8, 2, b"\0\0\0\0", chunk(b"iCCP", b"k\0\0" + zlib.compress(HUGE))),
        "damaged",
    ),
    "20 comments of 1 MB": (
        png(
            *(1, 1, 8, 2, b"\0\0\0\0"),
            *[chunk(b"zTXt", b"%d\0\0" % k + zlib.compress(HUGE[:1_000_000])) for k in range(20)],
        ),
        "damaged",
    ),
    "JPEG of 501 scans": (many_scans(500), "scans"),
    "JPEG of 2 million segments": (many_parts(b"\xff\xd8", segment(0xE5), FORMATS["JPEG"][2:]), "memory"),
    "PNG of 800,000 chunks": (many_parts(SMALL_PNG[:33], chunk(b"prVt"), SMALL_PNG[33:]), "memory"),
    "GIF of 2 million comments": (many_parts(gif((2, 2), (0, 0, 2, 2))[:25], b"!\xfe\1x\0", b";"), "memory"),
    "more than 10 MB": (SMALL_PNG + bytes(10_000_000), "10 MB"),
}


def one_sentence(error: ImageError, *words: str) -> None:
    """Holds an error to what is promised: one sentence, no other library's frames and no other error under it."""
    message = str(error)
    assert message.endswith(".")
    assert not message.endswith("..")
    assert "\n" not in message
    assert ". " not in message
    assert len(message) < 300
    assert error.__cause__ is None
    assert error.__context__ is None or error.__suppress_context__
    for frame in traceback.extract_tb(error.__traceback__):
        assert not set(Path(frame.filename).parts) & {"PIL", "requests", "urllib3"}
    for word in words:
        assert word in message


@pytest.mark.parametrize("name", WRONG)
def test_wrong_files_get_one_sentence(name):
    data, words = WRONG[name]
    with pytest.raises(ImageError) as caught:
        decode_image(data, "cat.png")
    one_sentence(caught.value, "cat.png", words)


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_cut_at_any_byte_is_refused_or_right(name):
    data = FORMATS[name]
    whole = decode_image(data).tobytes()
    refused = 0
    for length in range(len(data)):
        try:
            assert (
                decode_image(data[:length]).tobytes() == whole
            )  # all that is missing is what follows the pixels
        except ImageError as error:
            one_sentence(error)
            refused += 1
    assert refused >= 0.9 * len(data)


# --- large pictures: half their size, and little memory -----------------------------------------------------


def blocks(height: int, width: int, channels: int) -> np.ndarray:
    """Blocks of 10 x 10 pixels in many colours."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (height // 10, width // 10, channels), dtype=np.uint8)
    return small.repeat(10, axis=0).repeat(10, axis=1)


def with_notes(data: bytes) -> bytes:
    """A PNG with 7 million characters of comments, each of which takes Python 4 bytes."""
    note = zlib.compress("\N{CAT FACE}".encode() + b"a" * 1_040_000)
    return data[:33] + b"".join(chunk(b"iTXt", b"%d\0\1\0\0\0" % k + note) for k in range(7)) + data[33:]


def with_empty_chunks(data: bytes) -> bytes:
    """A WebP with as many empty chunks as 10 MB hold."""
    data += b"JUNK\0\0\0\0" * ((9_990_000 - len(data)) // 8)
    return replaced(data, 4, struct.pack("<I", len(data) - 8))


# The dearest picture of each kind that is still read: (mode, height, width, format, how it is saved, mean difference)
PROGRESSIVE = {"quality": 50, "subsampling": 0, "progressive": True}
LARGE = {
    "progressive JPEG": ("RGB", 5000, 5000, "JPEG", {**PROGRESSIVE, "exif": exif(6)}, 10),
    "CMYK JPEG": ("CMYK", 3750, 4000, "JPEG", PROGRESSIVE, 10),
    "PNG with notes": ("RGB", 5000, 5000, "PNG", {"compress_level": 1, "exif": exif(6)}, 0),
    "RGBA PNG": ("RGBA", 5000, 5000, "PNG", {"compress_level": 1}, 0.5),
    "16-bit PNG": ("I;16", 1250, 20_000, "PNG", {"compress_level": 1}, 0),
    "GIF": ("L", 5000, 5000, "GIF", {}, 0),
    "RGBA WebP of many chunks": (
        "RGBA",
        2500,
        3320,
        "WEBP",
        {"quality": 50, "method": 0, "exif": exif(1)},
        60,
    ),
}
MEASURE = """
import sys
import numpy as np
from PIL import Image
from utils.image import ImageError, decode_image

def peak():  # bytes; of this process alone, unlike ru_maxrss, which begins at the peak of the parent
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))

Image.init()
for name in sys.argv[1:]:
    data = open(name, "rb").read()
    before = peak()
    try:
        image = decode_image(data)
    except ImageError as error:
        image = None
    print(peak() - before)
    if image:
        np.save(name, np.asarray(image)[::5])
"""


def measured_peaks(*files: Path) -> list[int]:
    """Memory in bytes that `decode_image` takes for each file, beyond all that was taken before."""
    command = [sys.executable, "-W", "error", "-c", MEASURE, *map(str, files)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    return [int(line) for line in run.stdout.split()]


linux = pytest.mark.skipif(sys.platform != "linux", reason="memory is measured through /proc")


@linux
@pytest.mark.parametrize("name", LARGE)
def test_large_pictures_come_at_half_size_within_200_mb(name, tmp_path):
    mode, height, width, format, options, tolerance = LARGE[name]
    array = blocks(height, width, {"RGBA": 4, "CMYK": 4, "RGB": 3}.get(mode, 1)).squeeze()
    image = Image.frombytes(mode, (width, height), array if mode != "I;16" else array.astype(np.uint16) * 257)
    data = encode(image, format, **options)
    data = with_notes(data) if "notes" in name else with_empty_chunks(data) if "chunks" in name else data
    file = tmp_path / "picture"
    file.write_bytes(data)
    (peak,) = measured_peaks(file)
    print(f"{name}: {peak / 1e6:.0f} MB for a file of {len(data) / 1e6:.1f} MB")
    assert peak <= 200e6

    half = array[::2, ::2]  # every block has even sides, so that one pixel of each four is their mean
    if mode == "RGBA":
        half = on_white(half)
    elif mode == "CMYK":
        half = (255.0 - half[..., :3]) * (255.0 - half[..., 3:]) / 255
    elif mode != "RGB":
        half = np.stack([half] * 3, axis=-1)
    expected = np.rot90(half, -1) if options.get("exif") == exif(6) else half
    assert np.abs(np.load(tmp_path / "picture.npy") - expected[::5].astype(float)).mean() <= tolerance


@linux
def test_bombs_take_little_memory_and_time(tmp_path):
    bombs = list(WRONG)[list(WRONG).index("bomb of 100,000 x 100,000") :]
    files = [tmp_path / str(number) for number in range(len(bombs))]
    for name, file in zip(bombs, files, strict=True):
        file.write_bytes(WRONG[name][0])
    start = time.monotonic()
    peak = sum(measured_peaks(*files))  # the peaks never go down, so the sum is the last one
    print(f"{len(bombs)} bombs: {peak / 1e6:.0f} MB, {time.monotonic() - start:.1f} s")
    assert peak <= 200e6
    assert time.monotonic() - start < 20


def test_a_picture_of_one_pixel_less_comes_at_full_size(monkeypatch):
    monkeypatch.setattr(rules, "FULL_SIZE_PIXELS", 48)
    assert decode_image(encode(NOISE, "PNG")).size == (8, 6)
    monkeypatch.setattr(rules, "FULL_SIZE_PIXELS", 47)
    half = decode_image(encode(NOISE, "PNG"))
    assert half.tobytes() == Image.fromarray(NOISE).reduce(2).tobytes()
    odd = decode_image(encode(RNG.integers(0, 256, (7, 9, 3), dtype=np.uint8), "JPEG"))
    assert odd.size == (5, 4)


# --- files on disk, and PIL images ----------------------------------------------------------------------------


def test_open_image_reads_a_file(tmp_path, monkeypatch):
    folder = tmp_path / "my pictures, ä"
    folder.mkdir()
    (folder / "a cat").write_bytes(SMALL_PNG)  # no ending: the contents count
    (folder / "cat.jpg").write_bytes(SMALL_PNG)
    assert np.array_equal(open_image(folder / "a cat"), NOISE)
    assert np.array_equal(open_image(str(folder / "cat.jpg")), NOISE)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert np.array_equal(open_image("~/my pictures, ä/a cat"), NOISE)


def test_open_image_says_what_is_wrong_with_a_path(tmp_path):
    (tmp_path / "empty.png").touch()
    (tmp_path / "large.png").write_bytes(SMALL_PNG + bytes(10_000_000))
    (tmp_path / "text.png").write_text("not a picture")
    cases = {
        tmp_path: "is a folder",
        tmp_path / "missing.png": "There is no picture file",
        tmp_path / "text.png" / "cat.png": "There is no picture file",
        tmp_path / "empty.png": "empty",
        tmp_path / "large.png": "10 MB",
        tmp_path / "text.png": "no picture",
        "~nobody-of-this-name/cat.png": "There is no picture file",
        "zero\0byte.png": "",
        "long" * 2000: "",
        "/dev/zero": "There is no picture file",
    }
    for path, words in cases.items():
        with pytest.raises(ImageError) as caught:
            open_image(path)
        if len(str(path)) < 1000:
            one_sentence(caught.value, words)


@linux
def test_open_image_does_not_wait_for_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ImageError, match="no picture file"):
        open_image(tmp_path / "pipe.png")


def test_open_image_says_when_a_file_may_not_be_read(tmp_path, monkeypatch):
    (tmp_path / "cat.png").write_bytes(SMALL_PNG)

    def refuse(*args, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # a real one would not hold the administrator back
    with pytest.raises(ImageError, match="Permission denied") as caught:
        open_image(tmp_path / "cat.png")
    one_sentence(caught.value)


def test_pil_images_follow_the_same_rules():
    clear = Image.fromarray(RGBA)
    assert np.abs(np.asarray(to_rgb(clear)).astype(float) - on_white(RGBA)).max() <= 1
    assert np.array_equal(to_rgb(Image.fromarray(GREY16)), np.stack([GREY16 >> 8] * 3, axis=-1))
    assert np.array_equal(
        to_rgb(Image.fromarray(GREY16.astype(np.int32))), np.stack([GREY16 >> 8] * 3, axis=-1)
    )
    lazy = Image.open(BytesIO(RIGHT["orientation 6 PNG"][0]))
    assert np.array_equal(to_rgb(lazy), TOP)
    for mode in [
        "1",
        "L",
        "LA",
        "P",
        "PA",
        "RGB",
        "RGBA",
        "RGBa",
        "RGBX",
        "CMYK",
        "YCbCr",
        "HSV",
        "LAB",
        "I",
        "I;16",
    ]:
        image = Image.new(mode, (3, 2))
        copy = to_rgb(image)
        assert (copy.mode, copy.size) == ("RGB", (3, 2))
        assert image.mode == mode
    wrong = {
        "fractions": Image.new("F", (2, 2)),
        "damaged": Image.open(BytesIO(SMALL_PNG[:80])),
        "pixels": Image.new("1", (20_001, 1)),
        "0 x 5": Image.new("RGB", (0, 5)),
    }
    for words, image in wrong.items():
        with pytest.raises(ImageError) as caught:
            to_rgb(image)
        one_sentence(caught.value, words)


def test_a_copy_is_made_of_a_pil_image():
    image = Image.fromarray(NOISE)
    to_rgb(image).putpixel((0, 0), (1, 2, 3))
    assert np.array_equal(image, NOISE)


def test_no_warnings_reach_the_reader(recwarn):
    for name in ("damaged EXIF", "palette with alpha", "MPO, as phones write"):
        decode_image(RIGHT[name][0])
    for name in ("bomb of 12,000 x 12,000", "half of PNG"):
        with pytest.raises(ImageError):
            decode_image(WRONG[name][0])
    assert not recwarn.list


def test_there_are_enough_cases():
    assert len(WRONG) >= 40
