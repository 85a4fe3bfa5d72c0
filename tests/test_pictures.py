"""Pictures of every kind, right and wrong: each ends in the right pixels or in one sentence."""

import os
import struct
import sys
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from utils.machinery import pictures as module
from utils.machinery.pictures import ImageError, decode_image, middle_square, open_image, to_rgb

RNG = np.random.default_rng(0)
NOISE = RNG.integers(
    0, 256, (6, 8, 3), dtype=np.uint8
)  # what every pixel-exact format has to give back
SMOOTH = np.add.outer(np.arange(24), np.arange(32))[..., None] * np.array([4, 2, 1]) + np.array(
    [0, 60, 100]
)
SMOOTH = SMOOTH.astype(np.uint8)  # for JPEG and lossy WebP
RED, GREEN, BLUE, WHITE, BLACK = [255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [0, 0, 0]


def encode(image, format, **options) -> bytes:
    """A picture (PIL image or array) as a file."""
    file = BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(
        file, format, **options
    )
    return file.getvalue()


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth, colour, rows: bytes, *before) -> bytes:
    """A PNG of raw rows, each with its filter byte; `before`: chunks before the pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(before) + pixels + chunk(b"IEND")


def notes(text: bytes) -> bytes:
    return chunk(b"zTXt", b"k\0\0" + zlib.compress(text))


def exif(orientation: int) -> bytes:
    data = Image.Exif()
    data[0x0112] = orientation
    return data.tobytes()


def on_white(rgba: np.ndarray) -> np.ndarray:
    alpha = rgba[..., 3:].astype(float) / 255
    return np.rint(rgba[..., :3] * alpha + 255 * (1 - alpha))


def grey(values) -> np.ndarray:
    return np.stack([values] * 3, axis=-1)


def orient(array: np.ndarray, orientation: int) -> np.ndarray:
    """How a camera stores an upright picture under this EXIF orientation."""
    turned = array.transpose(1, 0, 2)
    stored = {2: array[:, ::-1], 3: array[::-1, ::-1], 4: array[::-1], 5: turned, 6: turned[::-1]}
    stored |= {7: array[::-1, ::-1].transpose(1, 0, 2), 8: turned[:, ::-1]}
    return np.ascontiguousarray(stored.get(orientation, array))


RGBA = RNG.integers(0, 256, (6, 8, 4), dtype=np.uint8)
GREY16 = np.array([[0, 255, 256, 0x1234], [0x7FFF, 0x8000, 0xFF00, 0xFFFF]], dtype=np.uint16)
PLACES = np.arange(48).reshape(6, 8) % 4
ONE_CLEAR = np.array([RED, WHITE, BLUE, BLACK])[PLACES]
COLOURS = np.array([RED, GREEN, BLUE, BLACK])[PLACES]
INDEXED = Image.fromarray(PLACES.astype(np.uint8)).convert("P")
INDEXED.putpalette([*RED, *GREEN, *BLUE, *BLACK])
CMYK = Image.new("CMYK", (16, 16), (200, 30, 0, 10))
FRAMES = {
    "save_all": True,
    "append_images": [Image.fromarray(NOISE[::-1]), Image.fromarray(255 - NOISE)],
}
FINE = {"quality": 98, "subsampling": 0}
MPO = {"save_all": True, "append_images": [Image.new("RGB", (9, 9))], **FINE}
BAD_EXIF = b"neither II nor MM"

# name: (file, expected RGB [height, width, 3], largest difference allowed)
RIGHT = {
    "PNG": (encode(NOISE, "PNG"), NOISE, 0),
    "BMP": (encode(NOISE, "BMP"), NOISE, 0),
    "WebP without loss": (encode(NOISE, "WEBP", lossless=True), NOISE, 0),
    "WebP": (encode(SMOOTH, "WEBP", quality=95), SMOOTH, 12),
    "JPEG": (encode(SMOOTH, "JPEG", **FINE), SMOOTH, 4),
    "MPO, as phones write": (encode(SMOOTH, "MPO", **MPO), SMOOTH, 4),
    "CMYK JPEG": (encode(CMYK, "JPEG", quality=100), np.full((16, 16, 3), [53, 216, 245]), 3),
    "GIF": (encode(INDEXED, "GIF"), COLOURS, 0),
    "grey": (encode(NOISE[..., 0], "PNG"), grey(NOISE[..., 0]), 0),
    "1-bit": (
        encode(Image.fromarray(NOISE[..., 0] > 127), "BMP"),
        grey((NOISE[..., 0] > 127) * 255),
        0,
    ),
    # 16 bits: the high byte
    "16-bit grey": (encode(GREY16, "PNG"), grey(GREY16 >> 8), 0),
    "16-bit grey, one value clear": (
        png(
            3,
            1,
            16,
            0,
            b"\0" + struct.pack(">3H", 0x1234, 0x1235, 0x8000),
            chunk(b"tRNS", b"\x12\x34"),
        ),
        np.array([[WHITE, [0x12] * 3, [0x80] * 3]]),
        0,
    ),
    # transparency on white
    "RGBA PNG": (encode(RGBA, "PNG"), on_white(RGBA), 1),
    "RGBA WebP": (encode(RGBA, "WEBP", lossless=True, exact=True), on_white(RGBA), 1),
    "grey with alpha": (encode(RGBA[..., :2], "PNG"), on_white(RGBA[..., [0, 0, 0, 1]]), 1),
    "palette with alpha": (
        encode(INDEXED, "PNG", transparency=bytes([255, 0, 128, 255])),
        np.array([RED, WHITE, [127, 127, 255], BLACK])[PLACES],
        1,
    ),
    "one colour clear": (encode(INDEXED, "GIF", transparency=1), ONE_CLEAR, 0),
    "one grey clear": (
        png(2, 1, 8, 0, b"\0\5\6", chunk(b"tRNS", b"\0\5")),
        np.array([[WHITE, [6] * 3]]),
        0,
    ),
    # animations: the first frame
    "animated GIF": (
        encode(INDEXED, "GIF", save_all=True, append_images=[INDEXED.rotate(180)]),
        COLOURS,
        0,
    ),
    "animated WebP": (encode(NOISE, "WEBP", lossless=True, **FRAMES), NOISE, 0),
    "animated PNG": (encode(NOISE, "PNG", **FRAMES), NOISE, 0),
    "junk after the end": (encode(NOISE, "PNG") + b"junk" * 99, NOISE, 0),
    "damaged EXIF in a PNG": (
        png(1, 1, 8, 2, b"\0\1\2\3", chunk(b"eXIf", BAD_EXIF)),
        [[[1, 2, 3]]],
        0,
    ),
    "damaged EXIF in a JPEG": (
        b"\xff\xd8\xff\xe1"
        + struct.pack(">H", 25)
        + b"Exif\0\0"
        + BAD_EXIF
        + encode(SMOOTH, "JPEG", **FINE)[2:],
        SMOOTH,
        4,
    ),
    **{
        f"orientation {k}": (encode(orient(NOISE, k), "PNG", exif=exif(k)), NOISE, 0)
        for k in range(10)
    },
    **{
        f"orientation {k} JPEG": (
            encode(orient(SMOOTH, k), "JPEG", exif=exif(k), **FINE),
            SMOOTH,
            4,
        )
        for k in range(1, 9)
    },
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_pictures_have_the_right_pixels(name, recwarn):
    data, expected, tolerance = RIGHT[name]
    image = decode_image(data)
    assert image.mode == "RGB"
    pixels = np.asarray(image).astype(float)
    assert pixels.shape == np.shape(expected)
    assert np.abs(pixels - expected).max() <= tolerance
    assert not recwarn.list


def test_long_notes_and_colour_profiles_are_read_and_bombs_are_not():
    info = PngImagePlugin.PngInfo()
    info.add_text("workflow", "step " * 300_000, zip=True)
    assert np.array_equal(decode_image(encode(NOISE, "PNG", pnginfo=info)), NOISE)
    assert np.array_equal(decode_image(encode(NOISE, "PNG", icc_profile=bytes(1_500_000))), NOISE)
    for bomb in (notes(bytes(20_000_000)), b"".join(notes(bytes(1_000_000)) for _ in range(20))):
        with pytest.raises(ImageError):
            decode_image(png(1, 1, 8, 2, b"\0\0\0\0", bomb))


FORMATS = {format: encode(NOISE, format) for format in ("JPEG", "PNG", "GIF", "BMP", "WEBP")}

# name: (file, word of the error)
LINK_LIMITS = (module.MAX_LINK_BYTES, module.MAX_LINK_PIXELS)
WRONG = {
    "empty": (b"", "no JPEG"),
    "text": (b"this is not a picture, whatever its name says\n", "no JPEG"),
    "a web page": (b"\n <!doctype html><p>A cat</p>", "web page"),
    "HEIC": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100), "HEIC"),
    "TIFF": (encode(NOISE, "TIFF"), "PNG"),
    "no pixels": (png(0, 0, 8, 2, b""), "damaged"),
    "more than 100 MB": (FORMATS["PNG"] + bytes(100_000_000), "100 MB"),
    "200,010,000 pixels": (png(10_000, 20_001, 1, 0, b""), "10,000 x 20,001"),
    "10 billion pixels": (png(100_000, 100_000, 8, 0, b""), "too large"),
    **{f"half of {name}": (data[: len(data) // 2], "damaged") for name, data in FORMATS.items()},
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_files_get_one_sentence(name, recwarn):
    data, word = WRONG[name]
    with pytest.raises(ImageError, match=f"^cat.png .*{word}"):
        decode_image(data, "cat.png")
    assert not recwarn.list


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (FORMATS["PNG"] + bytes(10_000_000), "10 MB"),
        (png(5_000, 5_001, 1, 0, bytes(626 * 5_001)), "5,000 x 5,001"),
    ],
)
def test_what_a_link_leads_to_has_stricter_limits_than_the_readers_own_file(data, word):
    with pytest.raises(ImageError, match=word):
        decode_image(data, "The file", *LINK_LIMITS)
    assert decode_image(data).mode == "RGB"


@pytest.mark.parametrize(("format", "options"), [("JPEG", {}), ("MPO", MPO)])
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_phones_photograph_is_decoded_at_a_fraction(format, options, orientation):
    colours = Image.fromarray(np.array([[RED, GREEN], [BLUE, WHITE]], np.uint8))
    photograph = colours.resize((8_064, 6_048), Image.Resampling.NEAREST)
    file = encode(photograph, format, exif=exif(orientation), **options)
    image = decode_image(file + bytes(11_000_000))  # as with a film behind it
    upright = (2_016, 1_512) if orientation == 1 else (1_512, 2_016)  # a quarter; 1/8 has 756
    assert image.size == upright
    corners = [image.getpixel((x, y)) for y in (9, image.height - 9) for x in (9, image.width - 9)]
    expected = orient(np.array([[RED, GREEN], [BLUE, WHITE]]), 8 if orientation == 6 else 1)
    assert np.abs(np.array(corners) - expected.reshape(4, 3)).max() < 4


def test_a_photograph_of_25_megapixels_keeps_every_pixel():
    assert decode_image(encode(Image.new("L", (5_000, 5_000)), "JPEG")).size == (5_000, 5_000)
    large = encode(Image.new("1", (5_000, 5_001)), "PNG")  # no other format has fractions
    assert decode_image(large).size == (5_000, 5_001)


@pytest.mark.parametrize("name", ["PNG", "BMP"])
def test_a_file_cut_at_any_byte_is_refused_or_right(name):
    data, read = FORMATS[name], 0
    for length in range(len(data)):
        try:
            assert np.array_equal(
                decode_image(data[:length]), NOISE
            )  # all that is missing is what follows
            read += 1
        except ImageError:
            pass
    assert read <= 20


def test_open_image_reads_a_file(tmp_path, monkeypatch):
    (tmp_path / "a cat, ä").write_bytes(FORMATS["PNG"])  # no ending: the contents count
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    for path in (tmp_path / "a cat, ä", str(tmp_path / "a cat, ä"), "~/a cat, ä"):
        assert np.array_equal(open_image(path), NOISE)


def test_open_image_says_what_is_wrong_with_a_path(tmp_path):
    (tmp_path / "text.png").write_text("not a picture")
    with (tmp_path / "large.png").open("wb") as file:
        file.truncate(100_000_001)
    if sys.platform != "win32":
        os.mkfifo(tmp_path / "pipe.png")  # nobody may wait for it
    words = {
        ".": "folder",
        "missing.png": "no picture file",
        "pipe.png": "no picture file",
        "large.png": "100 MB",
    }
    words |= {
        "text.png": "no JPEG",
        "text.png/cat.png": None,
        "zero\0byte": None,
        "long" * 2000: None,
    }
    for name, word in words.items():
        with pytest.raises(ImageError, match=word):
            open_image(tmp_path / name)


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "I"]
)
def test_pil_images_of_every_mode(mode):
    image = Image.new(mode, (3, 2))
    copy = to_rgb(image)
    assert (copy.mode, copy.size, image.mode) == ("RGB", (3, 2), mode)
    copy.putpixel((0, 0), (1, 2, 3))
    assert to_rgb(image).getpixel((0, 0)) != (1, 2, 3)  # it is a copy


def test_pil_images_follow_the_same_rules():
    assert (
        np.abs(np.asarray(to_rgb(Image.fromarray(RGBA))).astype(float) - on_white(RGBA)).max() <= 1
    )
    for dtype in (np.uint16, ">u2", np.int32):
        assert np.array_equal(to_rgb(Image.fromarray(GREY16.astype(dtype))), grey(GREY16 >> 8))
    for image in (
        Image.new("F", (2, 2)),
        Image.open(BytesIO(FORMATS["PNG"][:80])),
        Image.new("RGB", (0, 5)),
    ):
        with pytest.raises(ImageError):
            to_rgb(image)


@pytest.mark.parametrize("dtype", [np.int32, np.uint16])
def test_an_array_of_eight_bit_numbers_is_not_black(dtype):
    grey_values = np.arange(256).reshape(16, 16)
    assert np.array_equal(to_rgb(Image.fromarray(grey_values.astype(dtype))), grey(grey_values))
    dark = grey_values.astype(np.uint16)  # a file says that it has 16 bits
    assert np.asarray(decode_image(encode(dark, "PNG"))).max() == 0
    turned = decode_image(encode(dark, "PNG", exif=exif(6)))
    assert np.asarray(turned).max() == 0


@pytest.mark.parametrize("value", [-1, 65_536])
def test_numbers_of_more_than_16_bits_are_refused(value):
    with pytest.raises(ImageError, match="scale it to 0 to 255"):
        to_rgb(Image.fromarray(np.array([[0, value]], np.int32)))


@pytest.mark.parametrize("shape", [(40, 100), (100, 40), (41, 40), (1, 300)])
def test_middle_square_averages_where_it_shrinks(shape):
    height, width = shape
    side, image = min(shape), np.zeros((height, width, 3), np.uint8)
    top, left = (height - side) // 2, (width - side) // 2
    image[top : top + side, left : left + side] = 200
    assert np.array_equal(middle_square(Image.fromarray(image), 8), np.full((8, 8, 3), 200))
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    small = np.asarray(middle_square(Image.fromarray(stripes), 32)).astype(int)
    assert np.abs(small[2:-2, 2:-2] - 127).max() <= 8  # without antialiasing, all 0 or all 255
