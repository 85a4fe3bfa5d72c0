"""The two samples that come with the course, as plain NumPy arrays: nothing to download, nothing to install.

Emoji-10 stands in for CIFAR-10 (drawn once, by data/samples/build_emoji10.py), Font digits for MNIST (drawn
here, each time). Both are balanced, shuffled and always the same.
"""

import json
import math
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from utils import config

# Of the fonts that matplotlib brings, those whose digits look as one expects: DejaVu Sans Mono has a dot in
# its zero, cmmi10 has old-style figures, and most STIX fonts have no digits at all.
FONTS = (
    *("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSans-BoldOblique"),
    *("DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic", "DejaVuSerif-BoldItalic"),
    *("STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "STIXGeneralBolIta"),
    *("cmr10", "cmb10", "cmss10", "cmtt10", "cmti10"),
)
FONT_DIGITS = {"train": 4_000, "test": 1_000}  # images in each split


def emoji10(split: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Emoji-10: the ten classes of CIFAR-10 drawn from emoji of three art styles, on random backgrounds.

    split: "train" (4,000 images) or "test" (1,000). Returns images uint8 [N, 3, 32, 32], labels int64 [N] (in
    the order of CIFAR-10's classes) and the style of each image: "noto", "fluent" or "twemoji".
    ValueError for another split; FileNotFoundError, ValueError if a file of the sample is missing or damaged.
    """
    _check_split(split)
    mosaic_file = config.samples_dir / f"emoji10_{split}.webp"
    record_file = config.samples_dir / "emoji10.json"
    for file in (mosaic_file, record_file):
        if not file.is_file():
            raise FileNotFoundError(
                f"{config.relative(file)}, a file of the built-in sample, is missing: "
                "bring it back with `git checkout data/samples`."
            )
    try:
        with Image.open(mosaic_file) as image:
            mosaic = np.asarray(image.convert("RGB"))
        record = json.loads(record_file.read_text(encoding="utf-8"))
        labels = np.array([int(digit) for digit in record[split]["labels"]], dtype=np.int64)
        styles = [record["styles"][int(digit)] for digit in record[split]["styles"]]
        images = _tiles(mosaic, 32)
        if not len(images) == len(labels) == len(styles):
            raise ValueError(f"{len(images)} images, {len(labels)} labels, {len(styles)} styles")
    except (OSError, ValueError, LookupError, TypeError) as error:  # of Pillow, json, or the check above
        raise ValueError(
            f"The built-in sample in {config.relative(config.samples_dir)} is damaged "
            f"({mosaic_file.name} or {record_file.name}): bring it back with `git checkout data/samples`."
        ) from error
    return images, labels, styles


def font_digits(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Font digits: 0 to 9 in 17 fonts, moved, turned, slanted, stretched, thickened; light on dark.

    split: "train" (4,000 images) or "test" (1,000, other random draws of the same fonts). Returns images
    uint8 [N, 1, 28, 28] and labels int64 [N]. ValueError for another split.
    """
    _check_split(split)
    count = FONT_DIGITS[split]
    rng = np.random.default_rng([28, count])  # a seed for each split
    glyphs = [[(_draw_digit(font, d, 0), _draw_digit(font, d, 1)) for d in "0123456789"] for font in FONTS]
    labels = rng.permutation(np.arange(count) % 10)
    images = np.zeros((count, 1, 28, 28), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        glyph = glyphs[rng.integers(len(FONTS))][label][rng.integers(2)]
        image[0] = _place_digit(glyph, rng)
    return images, labels


def _check_split(split: str) -> None:
    if split not in ("train", "test"):
        raise ValueError(f"There is no split {split!r}: ask for 'train' or 'test'.")


def _tiles(mosaic: np.ndarray, side: int) -> np.ndarray:
    """Cut a mosaic [H, W, 3] into its square images, row by row: [N, 3, side, side]."""
    rows, columns = mosaic.shape[0] // side, mosaic.shape[1] // side
    tiles = mosaic.reshape(rows, side, columns, side, 3).transpose(0, 2, 4, 1, 3)
    return np.ascontiguousarray(tiles.reshape(rows * columns, 3, side, side))


def _draw_digit(font: str, digit: str, bold: int) -> Image.Image:
    """One digit, white on black, 80 x 80, its ink in the middle; `bold` adds that many pixels all round."""
    file = Path(matplotlib.get_data_path(), "fonts", "ttf", f"{font}.ttf")
    face = ImageFont.truetype(str(file), 60, layout_engine=ImageFont.Layout.BASIC)
    left, top, right, bottom = face.getbbox(digit, stroke_width=bold)
    place = (40 - (left + right) / 2, 40 - (top + bottom) / 2)
    image = Image.new("L", (80, 80))
    ImageDraw.Draw(image).text(place, digit, fill=255, font=face, stroke_width=bold)
    return image


def _place_digit(glyph: Image.Image, rng: np.random.Generator) -> np.ndarray:
    """The digit turned by up to 25 degrees, slanted, stretched, and up to 2 pixels off the middle.

    Returns uint8 [28, 28], the digit 15 to 20 pixels high. Drawn at 56 x 56 and halved: smooth edges.
    """
    angle, slant = math.radians(rng.uniform(-25, 25)), rng.uniform(-0.4, 0.4)
    height = rng.uniform(0.35, 0.46)  # pixels of the image for one of the glyph; a digit is about 44 of these
    width = height * rng.uniform(0.65, 1.2)
    shift_x, shift_y = rng.uniform(-2, 2, 2)
    # Pillow asks where in the glyph each pixel of the image comes from: undo the shift, turn, slant, stretch.
    cos, sin = math.cos(angle), math.sin(angle)
    a, b = (cos + slant * sin) / (2 * width), (sin - slant * cos) / (2 * width)
    d, e = -sin / (2 * height), cos / (2 * height)
    x, y = 28 + 2 * shift_x, 28 + 2 * shift_y
    matrix = (a, b, 40 - a * x - b * y, d, e, 40 - d * x - e * y)
    image = glyph.transform((56, 56), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR).reduce(2)
    pixels = np.asarray(image, dtype=np.float32) * rng.uniform(0.75, 1.15)
    return pixels.clip(0, 255).astype(np.uint8)
